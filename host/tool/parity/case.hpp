#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plasticity/arguments.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/plan.hpp"

// A parity case: a file with inputs, parameters, state, upstream gradients, and the outputs and gradients
// that an independent implementation computed in float64. The names of the tensors begin with input., param.,
// state., mask., upstream., expect. and grad.
namespace plasticity::parity {

struct Case {
  std::string name;  // file name without its ending
  Spec spec;
  std::int64_t steps, batch;
  io::TensorFile file;
};

/// Reads a case. Throws Error(format) for wrong metadata, an unknown tensor, a missing tensor or a wrong
/// shape.
Case load_case(const std::filesystem::path& path);

/// The tensors of a case in one type, memory for the results, and the arguments that point to both.
template <class Real>
class Buffers {
 public:
  explicit Buffers(const Case& c);
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  ForwardArgs<Real> forward;
  BackwardArgs<Real> backward;

  /// Memory for the output or gradient of the `expect.` or `grad.` tensor of that name.
  struct Result {
    std::string name;
    const Real* values;
  };
  const std::vector<Result>& results() const { return results_; }

 private:
  const Real* input(const Case& c, const std::string& name);
  Real* result(const Case& c, const std::string& name);

  std::vector<std::vector<Real>> storage_;
  std::vector<std::uint8_t> reset_, clamp_;
  std::vector<std::int64_t> length_;
  std::vector<Result> results_;
};

/// Runs forward and backward of a case on its buffers, which are in host memory.
struct Runner {
  virtual ~Runner() = default;
  virtual void run(const Case& c, Buffers<float>& buffers) = 0;
  virtual void run(const Case& c, Buffers<double>& buffers) = 0;
};

/// The tensor with the largest error |got - want| / max(|want|, 1), in the 2-norm.
struct Comparison {
  bool passed;
  std::string tensor;
  double error;
  std::string detail;  // if it failed: "TENSOR at [2,0,7]: got ... want ..."
};

/// The largest allowed error. f64: 1e-10. f32: 2e-5 up to 50 steps, 1e-4 beyond. bf16 traces: 3e-2.
double tolerance(Precision precision, std::int64_t steps);

template <class Real>
Comparison compare(const Case& c, const Buffers<Real>& buffers, double tolerance);

/// Runs the cases of `files` and compares their results. Prints one line per case on stdout, then "N passed,
/// M failed". A file that cannot be read counts as failed. Returns 0 if all passed, else 1.
int verify(const std::vector<std::string>& files, Precision precision, Runner& runner);

}  // namespace plasticity::parity
