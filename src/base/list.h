// Doubly linked list with the node inside the object. An empty or unlinked node points at itself.
#pragma once
#include "base/base.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name) {&(name), &(name)}
static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert_after(struct list *at, struct list *node) {
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}
static inline void list_push_front(struct list *l, struct list *node) { list_insert_after(l, node); }
static inline void list_push_back(struct list *l, struct list *node) { list_insert_after(l->prev, node); }
static inline void list_remove(struct list *node) { // harmless when not linked
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
#define list_first(l, type, member) container_of((l)->next, type, member)
#define list_last(l, type, member)  container_of((l)->prev, type, member)
#define list_each(var, l, type, member)                                                                                \
    for (type *var = list_first(l, type, member); &var->member != (l);                                                 \
         var = container_of(var->member.next, type, member))
// The body may remove var.
#define list_each_safe(var, l, type, member)                                                                           \
    for (type *var = list_first(l, type, member), *var##_next = container_of(var->member.next, type, member);          \
         &var->member != (l); var = var##_next, var##_next = container_of(var->member.next, type, member))
