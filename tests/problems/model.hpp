#pragma once

#include "problems/random_problem.hpp"

namespace plasticity::testing {

/// The equations a third time, forward only: one batch element, step by step, in the order and the words of
/// the page of equations, without any code of the library. It checks the reference's values where there is
/// no case of another program, and it tells how near a problem comes to a corner.
class Model {
 public:
  Model(const TestCase& problem, std::int64_t b);

  struct Step {
    std::int64_t t;
    std::vector<double> y;  // [N] what the network shows
    double modulation = 0;
    double corner;             // distance to the nearest corner
    std::int64_t limited = 0;  // traces that a clip cut, or relu units that are silent
    std::int64_t free = 0;     // those that it could have and did not
  };
  bool finished() const { return t_ == length_; }
  Step step();

  std::vector<double> y, c, hebb, eligibility;  // [N] [N] [P,N] [P,N], the state as it stands

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
  const double *W_in, *bias, *w, *W_gates, *alpha, *eta, *v, *v0, *F, *F0;  // null where there is none
  const double *x_in, *u, *pre, *rate;
};

/// How near the problem comes to a place where a derivative jumps (relu at 0, a clip at its bound, soft_clip
/// at p = 0): the smallest distance. What sits on a bound to the bit does so in every arithmetic and does not
/// count. A precision whose errors are larger than that may well take the other branch.
double distance_to_corner(const TestCase& problem);

}  // namespace plasticity::testing
