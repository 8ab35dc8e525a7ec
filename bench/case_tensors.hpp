#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cases.hpp"

namespace plasticity::bench {

/// A tensor on a device. `batch_axis` is the axis of the batch elements, or -1.
struct Tensor {
  std::int64_t elements = 0;
  Shape shape;
  int batch_axis = -1;
  DeviceMemory memory;
};

/// A case with random parameters, inputs and upstream gradient on a device, and the argument structs that
/// point to them. They request all outputs and all gradients. The initial state is zero.
template <class Real>
class CaseTensors {
 public:
  CaseTensors(const Case& c, std::int64_t steps, Device device);

  /// Copies some batch elements of another problem in double precision to the CPU, for the reference.
  template <class Other>
  CaseTensors(const CaseTensors<Other>& whole, std::span<const std::int64_t> picked);

  const Case& its_case() const { return case_; }
  std::int64_t steps() const { return steps_; }
  Device device() const { return device_; }

  ForwardArgs<Real> forward;
  BackwardArgs<Real> backward;

  /// Values of a tensor by name: "param.w", "input.x", "y", "final.hebb", "dy", "grad.w", "grad.hebb0".
  std::vector<Real> values(const std::string& name) const;
  void set(const std::string& name, std::span<const Real> values);
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

  /// Sets the upstream gradient of all batch elements but the picked ones to zero.
  void mute_all_but(std::span<const std::int64_t> picked);

 private:
  void make_tensors();
  Real* make(const std::string& name, Shape shape, int batch_axis);

  Case case_;
  std::int64_t steps_;
  Device device_;
  std::map<std::string, Tensor> tensors_;
};

/// The entries of some batch elements, row-major.
template <class Real>
std::vector<double> gather(const std::vector<Real>& values, const Tensor& tensor,
                           std::span<const std::int64_t> picked);

/// Distance of outputs or gradients from the reference: |got - want| / |want| in the 2-norm, of the worst
/// tensor.
struct Check {
  double error = 0;
  std::string tensor = "(none)";
  double tolerance = 0;
  bool passed() const { return error >= 0 && error <= tolerance; }  // below 0: no tensor was compared
};

/// |got - want| / |want| in the 2-norm. Infinite if a value is NaN. Absolute for tensors that are almost
/// zero.
double difference(std::span<const double> got, std::span<const double> want);

/// Compares the tensors of `ran` with the reference for the picked batch elements. `prefixes` selects the
/// tensors: "y", "final.", "grad.". Gradients of the parameters are sums over the batch, so the other
/// elements must have been muted.
template <class Real>
Check compare(const CaseTensors<Real>& ran, std::span<const std::int64_t> picked,
              std::span<const std::string> prefixes);

/// The batch elements that a check compares: the first and the last.
std::vector<std::int64_t> checked_elements(std::int64_t batch);

inline constexpr std::int64_t checked_steps = 3;

}  // namespace plasticity::bench
