// The context switch: the one piece of assembly. It saves what the ABI calls callee-saved on the old stack and takes it
// from the new one. Not saved: the floating point control words (mxcsr, x87, fpcr): no task changes them, and reading
// them would double the cost. Who may be switched to, and telling the sanitizers, is task.c's business.
#include "io/task_switch.h"

#if defined(__x86_64__)

// The frame, from low to high: r15 r14 r13 r12 rbx rbp rip. The jump in place of a ret spares the return predictor a
// certain miss.
__asm__(".text\n"
        ".p2align 4\n"
        ".globl task_switch\n"
        ".hidden task_switch\n"
        ".type task_switch,@function\n"
        "task_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n"
        "    jmpq *%rcx\n"
        ".size task_switch,.-task_switch\n"
        // The first frame of a task: debuggers stop here.
        ".p2align 4\n"
        ".type task_switch_entry,@function\n"
        "task_switch_entry:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n"
        "    movq %r12, %rdi\n"
        "    callq *%r13\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size task_switch_entry,.-task_switch_entry\n");

enum { FRAME_R13 = 2, FRAME_R12 = 3, FRAME_RIP = 6, FRAME_WORDS = 7 };

extern const char task_switch_entry[] __attribute__((visibility("hidden")));

void *task_switch_prepare(void *top, void (*fn)(void *arg), void *arg) {
    uintptr_t *frame = (uintptr_t *)top - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof(*frame));
    frame[FRAME_R13] = (uintptr_t)fn;
    frame[FRAME_R12] = (uintptr_t)arg;
    frame[FRAME_RIP] = (uintptr_t)task_switch_entry;
    return frame;
}

#elif defined(__aarch64__)

// The frame, from low to high: x19..x28 x29 x30 d8..d15.
__asm__(".text\n"
        ".p2align 4\n"
        ".globl task_switch\n"
        ".hidden task_switch\n"
        ".type task_switch,%function\n"
        "task_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size task_switch,.-task_switch\n"
        ".p2align 4\n"
        ".type task_switch_entry,%function\n"
        "task_switch_entry:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    mov x0, x19\n"
        "    blr x20\n"
        "    brk #1\n"
        "    .cfi_endproc\n"
        ".size task_switch_entry,.-task_switch_entry\n");

enum { FRAME_X19 = 0, FRAME_X20 = 1, FRAME_X30 = 11, FRAME_WORDS = 20 };

extern const char task_switch_entry[] __attribute__((visibility("hidden")));

void *task_switch_prepare(void *top, void (*fn)(void *arg), void *arg) {
    uintptr_t *frame = (uintptr_t *)top - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof(*frame));
    frame[FRAME_X19] = (uintptr_t)arg;
    frame[FRAME_X20] = (uintptr_t)fn;
    frame[FRAME_X30] = (uintptr_t)task_switch_entry;
    return frame;
}

#else
#error "no context switch for this processor: x86-64 and arm64 have one"
#endif
