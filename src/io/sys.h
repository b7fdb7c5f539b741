// The system calls of the warm path, made directly. glibc's are cancellation points, which in a program with threads costs
// two atomic operations a call; nobody cancels threads here. Results and errno as in send(2) and recv(2). Private to io/.
#pragma once
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SYS_OF_LIBC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SYS_OF_LIBC 1 // whose calls the sanitizers watch
#endif
#endif

static inline long sys_result(long r) {
    if (__builtin_expect(r < 0, 0)) {
        errno = (int)-r;
        return -1;
    }
    return r;
}

// A call of four arguments; the fifth and the sixth are 0.
static inline long sys_call(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return sys_result(r);
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = 0;
    register long x5 __asm__("x5") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return sys_result(x0);
#else
#define SYS_OF_LIBC 1
    return -1;
#endif
}

static inline ssize_t sys_recv(int fd, void *to, size_t n, int flags) {
#ifdef SYS_OF_LIBC
    return recv(fd, to, n, flags);
#else
    return sys_call(SYS_recvfrom, fd, (long)to, (long)n, flags);
#endif
}

static inline ssize_t sys_send(int fd, const void *from, size_t n, int flags) {
#ifdef SYS_OF_LIBC
    return send(fd, from, n, flags);
#else
    return sys_call(SYS_sendto, fd, (long)from, (long)n, flags);
#endif
}

static inline ssize_t sys_sendmsg(int fd, const struct msghdr *m, int flags) {
#ifdef SYS_OF_LIBC
    return sendmsg(fd, m, flags);
#else
    return sys_call(SYS_sendmsg, fd, (long)m, flags, 0);
#endif
}
