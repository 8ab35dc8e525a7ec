#pragma once

#include "problems/random_problem.hpp"

namespace plasticity::testing {

/// An independent forward implementation of the equations, for one batch element. It shares no code with the
/// library. It checks the values of the reference for specs without a parity case, and measures the distance
/// to a corner.
class Model {
 public:
  Model(const TestCase& problem, std::int64_t b);

  struct Step {
    std::int64_t t;
    std::vector<double> y;  // [N] output of the cell
    double modulation = 0;
    double corner;             // distance to the nearest corner, see distance_to_corner()
    std::int64_t limited = 0;  // traces that were clipped, or relu units that are 0
    std::int64_t free = 0;     // traces and units that were not
  };
  bool finished() const { return t_ == length_; }
  Step step();

  std::vector<double> y, c, hebb, eligibility;  // current state: [N], [N], [P,N], [P,N]

 private:
  const double* find(const char* name) const;
  std::vector<double> initial(const char* name, std::int64_t size) const;
  double current(std::int64_t gate, std::int64_t j) const;
  double updated(double H, double X, double g, double y_j, Step& step) const;
  void near(double value, double corner, Step& step) const;

  const TestCase& problem_;
  const Spec& spec_;
  std::int64_t b_, t_ = 0, length_;
  const std::int64_t N, P, I;
  const double *W_in, *bias, *w, *W_gates, *alpha, *eta, *v, *v0, *F, *F0;  // null if the spec has none
  const double *x_in, *u, *pre, *rate;
};

/// Returns the smallest distance to a corner, a point where a derivative jumps: relu at 0, a clip at its
/// bound, soft_clip at p = 0. A value that equals a bound in bits is ignored, because it does so in every
/// precision. A precision with larger errors than the distance may take the other branch.
double distance_to_corner(const TestCase& problem);

}  // namespace plasticity::testing
