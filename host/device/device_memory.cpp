#include "plasticity/device_memory.hpp"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstring>
#include <new>

#include "base/throw_error.hpp"
#include "device/cuda_api.hpp"
#include "device/host_memory.hpp"
#include "device/page_locked.hpp"

namespace plasticity {
namespace {

constinit const CudaApi* registered = nullptr;

// Blocks of at least two huge pages are aligned to a huge page and use huge pages, if the kernel has any
// free. This reduces page table walks and cache conflicts within the traces of a batch element.
constexpr std::size_t huge_page = std::size_t{2} << 20;
std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes >= 2 * huge_page ? huge_page : 64};
}
void request_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#ifdef __linux__
  // Whole pages only. The result is ignored: without huge pages the program is only slower.
  if (bytes >= 2 * huge_page) madvise(data, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
}

const CudaApi& required_cuda_api() {
  if (registered == nullptr) {
    throw_error(ErrorCode::device_unavailable, "device", "a CUDA device", cuda_unavailable_reason());
  }
  return *registered;
}

}  // namespace

const CudaApi* cuda_api() { return registered; }
void register_cuda_api(const CudaApi& api) { registered = &api; }

DeviceMemory::DeviceMemory(Device device, std::size_t bytes)
    : bytes_(bytes), kind_(device.kind()), index_(device.index()) {
  if (bytes == 0) return;
  if (kind_ == DeviceKind::cuda) {
    data_ = required_cuda_api().allocate(index_, bytes);
    return;
  }
  // A larger size cannot be allocated, and rounding it up to the alignment could overflow to a small one.
  if (bytes <= PTRDIFF_MAX) data_ = ::operator new(bytes, alignment_of(bytes), std::nothrow);
  if (data_ == nullptr) throw_out_of_host_memory(bytes);
  request_huge_pages(data_, bytes);
}

DeviceMemory::~DeviceMemory() {
  if (data_ == nullptr) return;
  if (kind_ == DeviceKind::cuda) {
    registered->release(index_, data_);
  } else {
    ::operator delete(data_, alignment_of(bytes_));
  }
}

PageLocked::PageLocked(Device device, std::size_t bytes) : bytes_(bytes), index_(device.index()) {
  if (bytes > 0 && device.kind() == DeviceKind::cuda) {
    data_ = static_cast<std::byte*>(required_cuda_api().allocate_page_locked(device.index(), bytes));
  }
}

PageLocked::~PageLocked() {
  if (data_ != nullptr) registered->release_page_locked(index_, data_);
}

void copy_from(const PageLocked& memory, Device device, Stream stream, void* to, std::size_t bytes) {
  if (bytes > 0) required_cuda_api().copy_asynchronously(device.index(), stream, to, memory.data(), bytes);
}

void copy(Device device, Stream stream, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if (device.kind() == DeviceKind::cuda) {
    required_cuda_api().copy(device.index(), stream, to, from, bytes);
  } else {
    std::memmove(to, from, bytes);
  }
}

void fill_zero(Device device, Stream stream, void* data, std::size_t bytes) {
  if (bytes == 0) return;
  if (device.kind() == DeviceKind::cuda) {
    required_cuda_api().fill_zero(device.index(), stream, data, bytes);
  } else {
    std::memset(data, 0, bytes);
  }
}

void synchronize(Device device, Stream stream) {
  if (device.kind() == DeviceKind::cuda) required_cuda_api().synchronize(device.index(), stream);
}

}  // namespace plasticity
