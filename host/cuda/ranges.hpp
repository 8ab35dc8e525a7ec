#pragma once

#include <nvtx3/nvToolsExt.h>

// Ranges in a profiler's timeline, by NVTX (header-only). Without a profiler a range costs one empty call.
namespace plasticity::cuda {

inline nvtxDomainHandle_t range_domain() {
  static const nvtxDomainHandle_t domain = nvtxDomainCreateA("plasticity");
  return domain;
}

inline void begin_range(const char* name) noexcept {
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = name;
  nvtxDomainRangePushEx(range_domain(), &attributes);
}

inline void end_range() noexcept { nvtxDomainRangePop(range_domain()); }

}  // namespace plasticity::cuda
