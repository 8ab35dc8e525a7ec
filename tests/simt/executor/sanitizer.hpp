// Annotations for AddressSanitizer and ThreadSanitizer; empty in a plain build.
//
// The executor itself is compiled without -fsanitize=thread, with SIMT_TSAN defined instead: its own accesses
// must not count as a kernel's.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void AnnotateIgnoreSyncBegin(const char* file, int line);
void AnnotateIgnoreSyncEnd(const char* file, int line);
}
#endif

namespace simt {

#if defined(__SANITIZE_ADDRESS__)
inline void poison(const void* p, std::size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void unpoison(const void* p, std::size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
constexpr std::size_t default_stack_bytes = 256 * 1024;
#else
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
constexpr std::size_t default_stack_bytes = 64 * 1024;
#endif

#if defined(SIMT_TSAN)
/// Writes of a thread before release(tag) are visible to a thread after its acquire(tag).
inline void acquire(void* tag) { __tsan_acquire(tag); }
inline void release(void* tag) { __tsan_release(tag); }
constexpr unsigned default_resident_threads = 224;  // TSan has 256 clock slots: beyond, switches get slow

/// While it lives, accesses of this thread are not a kernel's: mallocs and copies of the executor's own.
class Quiet {
 public:
  Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};

/// Between the two, this thread neither accesses memory nor synchronises with others.
inline void begin_unseen() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
}
inline void end_unseen() {
  AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
inline void acquire(void*) {}
inline void release(void*) {}
inline void begin_unseen() {}
inline void end_unseen() {}
constexpr unsigned default_resident_threads = 1024;

class Quiet {
 public:
  Quiet() {}  // user-provided, so that an unused one is no warning
};
#endif

}  // namespace simt
