// What tape.c and tape_reader.c share.
#pragma once
#include "base/list.h"
#include "http/tape.h"

enum { TAPE_MAGIC = 0x57545045 };

// Consecutive bytes. A piece in memory becomes one in the file in place, so that readers may point at it.
struct tape_piece {
    struct tape_piece *next;
    uint64_t at; // of its first byte on the tape
    size_t n;
    struct block *block;   // counted; NULL: constant bytes, or in a file
    const char *p;
    struct file_ref *file; // counted; NULL: in memory
    off_t off;
};

struct tape {
    uint32_t magic;
    uint32_t refs;
    struct tape_limits lim;
    struct tape_piece *first, **tail;
    uint64_t length;       // bytes ever appended
    uint64_t memory;       // bytes of pieces in memory
    uint64_t granted;      // of lim.budget, for memory beyond lim.mem
    struct file_ref *file; // temp file, NULL: none yet
    uint64_t file_end;     // where the next bytes go in the file
    bool ended, file_failed, appending;
    int error;
    struct list readers;   // struct tape_reader
    struct task *writer;   // parked until readers made room
};

struct tape_reader {
    struct body body;
    struct tape *tape;       // counted
    struct list node;
    struct tape_piece *piece; // that holds `pos`, or the last one before it; NULL: the first of the tape
    uint64_t pos;
    int64_t promised;        // length given by the maker, -1: none
    struct task *waiting;
};

// A reader went on or went away: pieces that all have read are forgotten, and the writer may have room.
void tape_readers_moved(struct tape *t);
int64_t tape_reader_left(const struct tape_reader *r); // bytes still to come when known, else -1
