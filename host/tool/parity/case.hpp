#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plasticity/arguments.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/plan.hpp"

// A parity case: a file with inputs, parameters, state, upstream gradients, and the answers that an
// independent implementation gives in float64. The tensors are named input., param., state., mask.,
// upstream., expect. and grad.
namespace plasticity::parity {

struct Case {
  std::string name;  // the file's, without its ending
  Spec spec;
  std::int64_t steps, batch;
  io::TensorFile file;
};

/// Reads a case and checks that it is whole: metadata, and every tensor known, needed ones there, all in
/// their shape.
Case load_case(const std::filesystem::path& path);

/// The tensors of a case in one type, the arguments that point to them, and room for the answers.
template <class Real>
class Buffers {
 public:
  explicit Buffers(const Case& c);
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  ForwardArgs<Real> forward;
  BackwardArgs<Real> backward;

  /// An answer: what was computed for the case's `expect.` or `grad.` tensor of that name.
  struct Answer {
    std::string name;
    const Real* values;
  };
  const std::vector<Answer>& answers() const { return answers_; }

 private:
  const Real* input(const Case& c, const std::string& name);
  Real* answer(const Case& c, const std::string& name);

  std::vector<std::vector<Real>> storage_;
  std::vector<std::uint8_t> reset_, clamp_;
  std::vector<std::int64_t> length_;
  std::vector<Answer> answers_;
};

/// What runs a case: forward and backward on its buffers, which are the host's.
struct Runner {
  virtual ~Runner() = default;
  virtual void run(const Case& c, Buffers<float>& buffers) = 0;
  virtual void run(const Case& c, Buffers<double>& buffers) = 0;
};

/// How far the answers are from what is expected: the worst tensor, by |got - want| / max(|want|, 1) in the
/// 2-norm.
struct Comparison {
  bool passed;
  std::string tensor;  // the worst one
  double error;        // its error
  std::string detail;  // of a failure: "TENSOR at [2,0,7]: got ... want ..."
};

/// 1e-10 in f64; in f32 2e-5 up to 50 steps and 1e-4 beyond; 3e-2 with a bf16 trace.
double tolerance(Precision precision, std::int64_t steps);

template <class Real>
Comparison compare(const Case& c, const Buffers<Real>& buffers, double tolerance);

/// Runs and compares the cases of `files`: a line each on stdout, then "N passed, M failed". A file that
/// cannot be read counts as failed and the others still run. Gives 0 if all passed, else 1.
int verify(const std::vector<std::string>& files, Precision precision, Runner& runner);

}  // namespace plasticity::parity
