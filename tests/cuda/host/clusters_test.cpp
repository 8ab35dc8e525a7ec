// The limits that a device reports itself: clusters that it rejects, registers.
#include <algorithm>

#include "cuda/cuda_plan.hpp"
#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "simt/runtime.hpp"
#include "simt/schedules.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr Spec middle{.cell = Cell::rnn, .rule = Rule::hard_clip, .neurons = 200},
    large{.cell = Cell::rnn, .rule = Rule::hard_clip, .neurons = 512};

Execution chosen(const Spec& spec, Execution wanted = Execution::automatic) {
  return Plan(spec, {.steps = 9, .batch = 32, .device = Device::cuda(), .execution = wanted}).execution();
}

// 512 neurons are fastest in a cluster of 16, which is more than every device must have. "No room" is the
// answer 0 on some, an error on others; either way the next kind is tried.
TEST(CudaClusters, OnesThatTheDeviceRefusesAreNotChosen) {
  simt::run([] {
    EXPECT_EQ(chosen(middle), Execution::cluster);
    EXPECT_EQ(chosen(large), Execution::cluster);
    for (const cudaError_t error :
         {cudaSuccess, cudaErrorInvalidClusterSize, cudaErrorInvalidValue, cudaErrorInvalidConfiguration,
          cudaErrorNotSupported, cudaErrorLaunchOutOfResources}) {
      simt::runtime::refuse_clusters_above(8, error);
      EXPECT_EQ(chosen(middle), Execution::cluster) << cudaGetErrorName(error);
      EXPECT_EQ(chosen(large), Execution::grid) << cudaGetErrorName(error);
      simt::runtime::refuse_clusters_above(1, error);
      EXPECT_EQ(chosen(middle), Execution::grid) << cudaGetErrorName(error);
      EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
      expect_error([] { chosen(large, Execution::cluster); }, ErrorCode::unsupported, "options.execution");
    }
  });
}

// A device that has faulted is no device without room.
TEST(CudaClusters, AFaultIsAnError) {
  simt::run([] {
    simt::runtime::refuse_clusters_above(8, cudaErrorLaunchFailure);
    expect_error([] { chosen(large); }, ErrorCode::device_unavailable, "");
  });
}

// A backward block of 256 threads takes more than half of a multiprocessor's registers, however little shared
// memory it needs.
TEST(CudaClusters, RegistersLimitTheElementsUnderWay) {
  simt::run([] {
    const auto way = [](int multiprocessors) {
      simt::runtime::set_device(9, 0, multiprocessors);
      const Spec spec{.neurons = 64};
      std::string reason;
      const auto shapes =
          cuda::shapes_that_fit(spec, false, cuda::DeviceLimits::of_device(0), cuda::GroupKind::cta, reason);
      const auto shape = std::find_if(shapes.begin(), shapes.end(),
                                      [](const auto& each) { return each.group.threads() == 256; });
      return cuda::CudaPlan(spec,
                            {.steps = 9, .batch = 500, .device = Device::cuda(), .execution = Execution::cta},
                            *shape)
          .describe();
    };
    EXPECT_NE(way(1).find("256 threads per element, 1 elements at once"), std::string::npos) << way(1);
    EXPECT_NE(way(132).find(", 132 elements at once"), std::string::npos) << way(132);
  });
}

}  // namespace
}  // namespace plasticity::testing
