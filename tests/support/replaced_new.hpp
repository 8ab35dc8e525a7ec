#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

// Replaces every operator new and delete of a test program. The one source of the program that includes this
// header defines allocate() and release(). All forms are replaced, because the library's own may be a
// sanitizer's.
namespace plasticity::testing {

/// Returns memory, or null if there is none. `alignment` is at least that of all basic types.
void* allocate(std::size_t bytes, std::size_t alignment);

/// Frees memory of allocate(). Null is no memory. Not inlined, or GCC warns with -O1 that free() does not
/// match operator new.
[[gnu::noinline]] void release(void* data, std::size_t alignment) noexcept;

/// Returns at least `bytes` bytes for free(), or null if there are none.
inline void* aligned_memory(std::size_t bytes, std::size_t alignment) {
  return std::aligned_alloc(alignment, (bytes / alignment + 1) * alignment);
}

constexpr auto basic_alignment = std::align_val_t{alignof(std::max_align_t)};

inline std::size_t at_least_basic(std::align_val_t alignment) {
  return static_cast<std::size_t>(alignment < basic_alignment ? basic_alignment : alignment);
}

}  // namespace plasticity::testing

void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return plasticity::testing::allocate(bytes, plasticity::testing::at_least_basic(alignment));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (void* data = operator new(bytes, alignment, std::nothrow)) return data;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes) { return operator new(bytes, plasticity::testing::basic_alignment); }
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return operator new(bytes, alignment); }

void operator delete(void* data, std::align_val_t alignment) noexcept {
  plasticity::testing::release(data, plasticity::testing::at_least_basic(alignment));
}
void operator delete(void* data, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(data, alignment);
}
void operator delete(void* data) noexcept { operator delete(data, plasticity::testing::basic_alignment); }
void operator delete(void* data, std::size_t) noexcept { operator delete(data); }
void operator delete[](void* data) noexcept { operator delete(data); }
void operator delete[](void* data, std::size_t) noexcept { operator delete(data); }
void operator delete[](void* data, std::align_val_t alignment) noexcept { operator delete(data, alignment); }
void operator delete[](void* data, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(data, alignment);
}
