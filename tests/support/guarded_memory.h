/// Memory for kernel tests: inputs that end at a page nobody may touch, outputs between canaries.
#ifndef LAT_TEST_GUARDED_MEMORY_H
#define LAT_TEST_GUARDED_MEMORY_H

#include <stddef.h>

/// `bytes` readable and writable bytes whose last one lies right before an inaccessible page: a read or write past the
/// end is a segmentation fault. The start has the alignment that the size leaves. Freed by guarded_free_all.
void *guarded_alloc(size_t bytes);

/// As guarded_alloc, with canaries before (64 bytes) and after (`gap` bytes, then the page) and poisoned content.
void *guarded_output(size_t bytes, size_t gap);

/// Fails the test when a canary of any living output was changed; `what` names the case in the message.
void guarded_check(const char *what);

/// Frees everything that the two functions gave.
void guarded_free_all(void);

#endif
