// The update of a connection (kernels/rules), its value and its adjoint, for every rule and eligibility
// trace. The reference's published rules are the judge: of the value itself, and of the adjoint by the
// complex step.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <random>

#include "plasticity/spec.hpp"
#include "reference/trajectory.hpp"
#include "rules/connection.hpp"
#include "rules/factors.hpp"

namespace plasticity::testing {
namespace {

using Complex = std::complex<double>;

/// One connection before an update, and the gradients of its traces after the update.
template <class Real>
struct Point {
  Real hebb, eligibility, x, y, rate, eta;
};
constexpr Complex Point<Complex>::*variables[] = {&Point<Complex>::hebb, &Point<Complex>::eligibility,
                                                  &Point<Complex>::x,    &Point<Complex>::y,
                                                  &Point<Complex>::rate, &Point<Complex>::eta};
constexpr double Point<double>::*gradients[] = {&Point<double>::hebb, &Point<double>::eligibility,
                                                &Point<double>::x,    &Point<double>::y,
                                                &Point<double>::rate, &Point<double>::eta};
constexpr const char* names_of_variables[] = {"H", "E", "x", "y", "g", "eta"};

template <class Real>
struct Traces {
  Real hebb, eligibility;
};

/// The update as published.
template <class Real>
Traces<Real> published(const Spec& spec, const Point<Real>& at) {
  const Real product = at.x * at.y, mean = at.eligibility + at.eta * (product - at.eligibility);
  const Real drive = spec.eligibility == Eligibility::none     ? product
                     : spec.eligibility == Eligibility::before ? at.eligibility
                                                               : mean;
  return {reference::update_trace<Real>(spec, at.hebb, drive, at.rate, at.y), mean};
}

ColumnFactors<double> factors_of(const Spec& spec, const Point<double>& at) {
  const auto column = dispatch_eligibility(spec.eligibility, [&]<Eligibility kind> {
    return rule_factors<kind>(spec.rule, at.rate, at.y, RuleConstants<double>{spec.clip});
  });
  return {column.retention, column.gain, at.y};
}

Traces<double> updated(const Spec& spec, const Point<double>& at) {
  Traces<double> traces{at.hebb, at.eligibility};
  dispatch_form(form_of(spec.rule), [&]<Form form> {
    dispatch_eligibility(spec.eligibility, [&]<Eligibility kind> {
      update_connection<form, kind>(traces.hebb, traces.eligibility, at.x, factors_of(spec, at),
                                    UpdateConstants<double>{at.eta, update_limit<form>(spec.clip)});
    });
  });
  return traces;
}

/// The gradients from G and GE, those of the traces after the update.
Point<double> adjoint(const Spec& spec, const Point<double>& at, double G, double GE) {
  const ColumnFactors<double> column = factors_of(spec, at);
  ColumnGradients<double> sums{};
  Point<double> result{};
  dispatch_form(form_of(spec.rule), [&]<Form form> {
    dispatch_eligibility(spec.eligibility, [&]<Eligibility kind> {
      const double dx = reverse_connection<form, kind>(
          G, GE, at.hebb, at.eligibility, at.x, column,
          UpdateConstants<double>{at.eta, update_limit<form>(spec.clip)}, sums);
      const auto [rate, y] =
          rule_factors_adjoint<kind>(spec.rule, at.rate, at.y, RuleFactors<double>{sums.retention, sums.gain},
                                     RuleConstants<double>{spec.clip});
      result = {G, GE, dx * presynaptic_factor<kind>(column), y + sums.y, rate, sums.eta};
    });
  });
  return result;
}

/// Calls check(spec, point, random) for random points of every rule and eligibility trace.
template <class Check>
void for_random_points(Check check) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(-1, 1);
  const auto draw = [&](double scale) { return scale * uniform(random); };
  for (int rule = 0; rule < static_cast<int>(names<Rule>().size()); ++rule) {
    for (int kind = 0; kind < static_cast<int>(names<Eligibility>().size()); ++kind) {
      for (int trial = 0; trial < 300; ++trial) {
        const Spec spec{.rule = static_cast<Rule>(rule),
                        .eligibility = static_cast<Eligibility>(kind),
                        .neurons = 1,
                        .clip = .4 + draw(.3)};
        check(spec, Point<double>{draw(1.3), draw(1), draw(1.5), draw(1.5), draw(1.5), draw(1)});
      }
    }
  }
}

TEST(Rules, UpdatesAreThePublishedOnes) {
  for_random_points([&](const Spec& spec, const Point<double>& at) {
    const Traces<double> got = updated(spec, at), want = published(spec, at);
    const double tolerance = 2e-15;  // a few roundings of 1.1e-16 of values below 5
    EXPECT_NEAR(got.hebb, want.hebb, tolerance) << to_string(spec);
    if (spec.has_eligibility()) {
      EXPECT_NEAR(got.eligibility, want.eligibility, tolerance) << to_string(spec);
    }
  });
}

TEST(Rules, AdjointsAreThoseOfTheComplexStep) {
  std::mt19937_64 random(6);
  std::uniform_real_distribution<double> uniform(-1, 1);
  constexpr double h = 1e-30;
  for_random_points([&](const Spec& spec, const Point<double>& at) {
    const double G = uniform(random), GE = spec.has_eligibility() ? uniform(random) : 0;
    const Point<double> got = adjoint(spec, at, G, GE);
    for (int k = 0; k < 6; ++k) {
      const bool of_trace = names_of_variables[k][0] == 'E' || names_of_variables[k][0] == 'e';
      if (of_trace && !spec.has_eligibility()) continue;
      Point<Complex> moved{at.hebb, at.eligibility, at.x, at.y, at.rate, at.eta};
      moved.*variables[k] += Complex(0, h);
      const Traces<Complex> after = published(spec, moved);
      const double want = (G * after.hebb + GE * after.eligibility).imag() / h;
      const double tolerance = 2e-14;  // some ten roundings of 1.1e-16 of values below 10
      EXPECT_NEAR(got.*gradients[k], want, tolerance) << names_of_variables[k] << " of " << to_string(spec);
    }
  });
}

// An entry that is exactly at its clip passes its gradient.
TEST(Rules, GradientPassesAtTheClip) {
  for (int rule = 0; rule < static_cast<int>(names<Rule>().size()); ++rule) {
    const Spec spec{.rule = static_cast<Rule>(rule), .neurons = 1, .clip = 1};
    const Point<double> still{1, 0, 0, .5, .5, 0};
    const double retention = factors_of(spec, still).retention;
    EXPECT_EQ(adjoint(spec, still, .75, 0).hebb, .75 * retention) << to_string(spec);
  }
}

}  // namespace
}  // namespace plasticity::testing
