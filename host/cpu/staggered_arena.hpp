#pragma once

#include <cstddef>
#include <cstdint>

#include "base/arena.hpp"

namespace plasticity::cpu {

/// An arena whose large blocks start at different offsets within a page. Elements with the same index in
/// several matrices then map to different cache sets, and loads are not delayed by stores with equal low
/// address bits (4K aliasing). A block of no elements is not null, because row addresses are computed for
/// absent tensors too.
class StaggeredArena : public Arena {
 public:
  using Arena::Arena;
  template <class T>
  T* take(std::int64_t count) {
    if (rounded<T>(count) >= large) move_to(whole_pages() + large_++ % (page / offset) * offset);
    return place<T>(count);
  }
  /// A multiple of a page if there are large blocks, so that adjacent arenas have the same layout.
  std::size_t bytes() const { return large_ == 0 ? Arena::bytes() : whole_pages(); }

  static constexpr std::size_t page = 4096, large = 32 << 10, offset = 256;

 private:
  std::size_t whole_pages() const { return (Arena::bytes() + page - 1) / page * page; }
  std::size_t large_ = 0;
};

}  // namespace plasticity::cpu
