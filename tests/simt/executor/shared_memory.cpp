// Shared memory of blocks, and its addresses in the other blocks of a cluster.
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "simt/executor/group.hpp"
#include "simt/executor/sanitizer.hpp"

namespace simt {
namespace {

constexpr std::size_t static_limit = 48 * 1024;  // a GPU's, for variables declared in the kernel

}  // namespace

SharedMemory::SharedMemory(const void* key, std::size_t bytes, std::size_t alignment)
    : key_(key), bytes_(bytes) {
  if (!bytes) return;
  void* p = nullptr;
  if (posix_memalign(&p, alignment < 16 ? 16 : alignment, bytes)) throw std::bad_alloc();
  data_ = static_cast<char*>(p);
  std::memset(data_, 0xff, bytes_);
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : key_(other.key_), bytes_(std::exchange(other.bytes_, 0)), data_(std::exchange(other.data_, nullptr)) {}

SharedMemory::~SharedMemory() { std::free(data_); }

void SharedMemory::kill() {
  if (!data_) return;
  std::memset(data_, 0xff, bytes_);
  poison(data_, bytes_);
}

SharedMemory& Block::shared_variable(const void* key, std::size_t bytes, std::size_t alignment) {
  std::size_t used = 0;
  for (std::size_t i = 1; i < shared.size(); ++i) {
    if (shared[i].key() == key) return shared[i];
    used += shared[i].bytes();
  }
  if (used + bytes > static_limit) stop_kernel("more than 48 KiB of static shared memory");
  return shared.emplace_back(key, bytes, alignment);
}

namespace device {

void* dynamic_shared() { return self()->block->shared.front().data(); }

void* static_shared(const void* key, std::size_t bytes, std::size_t alignment) {
  Quiet quiet;
  return self()->block->shared_variable(key, bytes, alignment).data();
}

void* map_shared_rank(const void* p, unsigned rank, Location where) {
  Quiet quiet;
  Block& mine = *self()->block;
  const std::string call = "map_shared_rank(" + std::to_string(rank) + ") at " + describe(where);
  if (rank >= mine.cluster->blocks.size()) stop_kernel(call + ": the cluster has no such block");
  Block& other = *mine.cluster->blocks[rank];
  if (other.live == 0) stop_kernel(call + ": that block has exited, and its shared memory with it");
  for (std::size_t i = 0; i < mine.shared.size(); ++i) {
    SharedMemory& from = mine.shared[i];
    if (!from.contains(p)) continue;
    SharedMemory& to = i == 0 ? other.shared.front() : other.shared_variable(from.key(), from.bytes(), 16);
    return to.data() + (static_cast<const char*>(p) - from.data());
  }
  stop_kernel(call + ": not an address in this block's shared memory");
}

}  // namespace device
}  // namespace simt
