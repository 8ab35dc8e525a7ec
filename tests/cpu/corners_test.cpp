// The equations say which one-sided derivative counts at a jump: a clip passes the gradient at its bound, and
// soft_clip at p = 0 takes the branch of p >= 0. The expected values are computed by hand for one connection.
#include "problems/implementations.hpp"

namespace plasticity::testing {
namespace {

constexpr double x = .5, u = .25, w = .75, alpha = -.5;  // exact in binary, like all products of them

/// One connection and one step, with trace H and rate g. The activation is the identity, so
/// y = u + x (w + alpha read(H)).
struct Connection {
  Rule rule;
  double H, g;
  double upstream_y = 0, upstream_hebb = 1;
  double clip = .5;
};

struct Gradients {
  double hebb, rate, y_of_step;
};

template <class Implementation>
class Corners : public ::testing::Test {
 protected:
  static Gradients gradients(const Connection& c, Activation activation = Activation::identity,
                             double current = u) {
    TestCase problem{{.cell = Cell::feedforward,
                      .rule = c.rule,
                      .rate = Rate::external,
                      .activation = activation,
                      .inputs = 1,
                      .neurons = 1,
                      .clip = c.clip},
                     1,
                     1,
                     0,
                     {},
                     {},
                     {},
                     {},
                     {}};
    problem.inputs = {{"param.w", {w}},   {"param.alpha", {alpha}}, {"input.u", {current}},
                      {"input.pre", {x}}, {"input.rate", {c.g}},    {"state.hebb", {c.H}}};
    problem.upstream = {{"y", {c.upstream_y}}, {"state.hebb", {c.upstream_hebb}}};
    Buffers<double> buffers(problem);
    Implementation::run(problem, buffers);
    return {buffers.gradients.at("state.hebb")[0], buffers.gradients.at("input.rate")[0],
            buffers.gradients.at("input.u")[0]};
  }
  static double y_of(double read) { return u + x * (w + alpha * read); }
};
TYPED_TEST_SUITE(Corners, Implementations);

TYPED_TEST(Corners, HardClipPassesTheGradientAtItsBounds) {
  for (const double bound : {.5, -.5}) {
    const Gradients at = this->gradients({Rule::hard_clip, bound, 0});
    EXPECT_EQ(at.hebb, 1) << bound;
    EXPECT_EQ(at.rate, x * this->y_of(bound)) << bound;
    const Gradients beyond = this->gradients({Rule::hard_clip, std::nextafter(bound, 2 * bound), 0});
    EXPECT_EQ(beyond.hebb, 0) << bound;
    EXPECT_EQ(beyond.rate, 0) << bound;
    const Gradients within = this->gradients({Rule::hard_clip, std::nextafter(bound, 0), 0});
    EXPECT_EQ(within.hebb, 1) << bound;
    EXPECT_NE(within.rate, 0) << bound;
  }
}

// A clipped entry passes no gradient to the rate, the drive or the trace before.
TYPED_TEST(Corners, HardClipPassesNoGradientBeyondItsBounds) {
  const Gradients beyond = this->gradients({Rule::hard_clip, .5, 1});  // H + g x y > .5
  EXPECT_EQ(beyond.hebb, 0);
  EXPECT_EQ(beyond.rate, 0);
  EXPECT_EQ(beyond.y_of_step, 0);
}

TYPED_TEST(Corners, ReadClipPassesTheGradientAtItsBounds) {
  for (const double bound : {.5, -.5}) {
    const auto read_gradient = [&](double H) {
      return this->gradients({.rule = Rule::read_clip, .H = H, .g = 0, .upstream_y = 1, .upstream_hebb = 0})
          .hebb;
    };
    EXPECT_EQ(read_gradient(bound), alpha * x);
    EXPECT_EQ(read_gradient(std::nextafter(bound, 0)), alpha * x);
    EXPECT_EQ(read_gradient(std::nextafter(bound, 2 * bound)), 0);
  }
  // read_clip clips only the read. The trace itself is not clipped.
  EXPECT_EQ(this->gradients({Rule::read_clip, 3, 0}).hebb, 1);
}

TYPED_TEST(Corners, SoftClipAtZeroTakesTheRisingBranch) {
  for (const double zero : {0., -0.}) {
    for (const double H : {.25, -.25, 1., -1.}) {
      const Gradients at = this->gradients({Rule::soft_clip, H, zero});
      EXPECT_EQ(at.hebb, 1) << H;
      EXPECT_EQ(at.rate, (1 - H) * x * this->y_of(H)) << H;
    }
  }
  const double H = .25, below = -0x1p-60;
  EXPECT_EQ(this->gradients({Rule::soft_clip, H, below}).rate, (1 + H) * x * this->y_of(H));
}

TYPED_TEST(Corners, SoftClipPassesNoGradientBeyondOne) {
  for (const double H : {std::nextafter(1, 2), std::nextafter(-1, -2)}) {
    const Gradients beyond = this->gradients({Rule::soft_clip, H, 0});
    EXPECT_EQ(beyond.hebb, 0);
    EXPECT_EQ(beyond.rate, 0);
  }
}

// relu has slope 0 at 0, as in PyTorch.
TYPED_TEST(Corners, ReluAtZero) {
  const Connection silent{.rule = Rule::decay, .H = 0, .g = 0, .upstream_y = 1};
  EXPECT_EQ(this->gradients(silent, Activation::relu, -x * w).y_of_step, 0);
  EXPECT_EQ(this->gradients(silent, Activation::relu, -x * w + 0x1p-40).y_of_step, 1);
  EXPECT_EQ(this->gradients(silent, Activation::relu, -x * w - 0x1p-40).y_of_step, 0);
}

}  // namespace
}  // namespace plasticity::testing
