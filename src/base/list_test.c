#include "base/list.h"
#include "base/test.h"

struct item {
    int number;
    struct list link;
};

static int sum_in_order(struct list *l) {
    int v = 0;
    list_each(i, l, struct item, link) v = v * 10 + i->number;
    return v;
}

TEST(order_and_removal) {
    struct list l = LIST_INIT(l);
    struct item items[5];
    EXPECT(list_empty(&l));
    for (int i = 0; i < 5; i++) {
        items[i].number = i + 1;
        list_init(&items[i].link);
        list_remove(&items[i].link); // harmless
    }
    list_push_back(&l, &items[1].link);
    list_push_back(&l, &items[2].link);
    list_push_front(&l, &items[0].link);
    list_insert_after(&items[2].link, &items[3].link);
    EXPECT_INT(sum_in_order(&l), 1234);
    EXPECT_INT(list_first(&l, struct item, link)->number, 1);
    EXPECT_INT(list_last(&l, struct item, link)->number, 4);
    list_each_safe(i, &l, struct item, link) {
        if (i->number % 2 == 0)
            list_remove(&i->link);
    }
    EXPECT_INT(sum_in_order(&l), 13);
    list_remove(&items[0].link);
    list_remove(&items[2].link);
    EXPECT(list_empty(&l) && list_empty(&items[0].link));
}
