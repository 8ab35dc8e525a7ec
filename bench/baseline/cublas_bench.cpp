// The baseline of a CUDA program: cuBLAS and elementwise kernels.
#include "cublas.hpp"
#include "register.hpp"

namespace plasticity::bench::baseline {
namespace {

struct OnDevice : CublasSequence {
  OnDevice(const Spec& spec, std::int64_t steps, std::int64_t batch, Device)
      : CublasSequence(spec, steps, batch) {}
};

const bool added = add_baseline<OnDevice>("cublas", DeviceKind::cuda);

}  // namespace
}  // namespace plasticity::bench::baseline
