#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cases.hpp"

namespace plasticity::bench {

/// A tensor on a device. `batch_axis`: which axis counts batch elements; -1: none.
struct Tensor {
  std::int64_t elements = 0;
  Shape shape;
  int batch_axis = -1;
  DeviceMemory memory;
};

/// A case with random parameters, inputs and upstream gradient on a device, and the arguments that point to
/// them: all outputs and all gradients are asked for. The initial state is zero.
template <class Real>
class Problem {
 public:
  Problem(const Case& c, std::int64_t steps, Device device);

  /// Some batch elements of another problem, alone, in double on the CPU: for the reference.
  template <class Other>
  Problem(const Problem<Other>& whole, std::span<const std::int64_t> picked);

  const Case& its_case() const { return case_; }
  std::int64_t steps() const { return steps_; }
  Device device() const { return device_; }

  ForwardArgs<Real> forward;
  BackwardArgs<Real> backward;

  /// A tensor's numbers, by the names "param.w", "input.x", "y", "final.hebb", "dy", "grad.w", "grad.hebb0".
  std::vector<Real> values(const std::string& name) const;
  void set(const std::string& name, std::span<const Real> values);
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

  /// No gradient flows into any batch element but the picked ones.
  void mute_all_but(std::span<const std::int64_t> picked);

 private:
  void make_tensors();
  Real* make(const std::string& name, Shape shape, int batch_axis);

  Case case_;
  std::int64_t steps_;
  Device device_;
  std::map<std::string, Tensor> tensors_;
};

/// The entries of some batch elements, row-major as before.
template <class Real>
std::vector<double> gather(const std::vector<Real>& values, const Tensor& tensor,
                           std::span<const std::int64_t> picked);

/// How far outputs or gradients are from the reference: the worst tensor, by |got - want| / |want| in the
/// 2-norm.
struct Check {
  double error = 0;
  std::string tensor = "(none)";
  double tolerance = 0;
  bool passed() const { return error >= 0 && error <= tolerance; }  // below 0: nothing was compared
};

/// |got - want| / |want| in the 2-norm, of a tensor that is not all but zero; infinite where anything is NaN.
double difference(std::span<const double> got, std::span<const double> want);

/// Compares what `ran` holds with the reference, for the picked batch elements. Of gradients: those of the
/// parameters are sums over the batch, so all other elements must have been muted. `prefixes`: which tensors,
/// "y", "final.", "grad.".
template <class Real>
Check compare(const Problem<Real>& ran, std::span<const std::int64_t> picked,
              std::span<const std::string> prefixes);

/// The batch elements that a check looks at: the first and the last.
std::vector<std::int64_t> checked_elements(std::int64_t batch);

inline constexpr std::int64_t checked_steps = 3;

}  // namespace plasticity::bench
