#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/throw_error.hpp"
#include "tool/parity/case.hpp"

namespace plasticity::parity {
namespace {

struct TensorError {
  double error = 0;       // |got - want| / max(|want|, 1)
  std::size_t worst = 0;  // the element that is furthest off
};

template <class Real>
TensorError measure(const std::vector<double>& want, const Real* got) {
  double difference = 0, norm = 0, furthest = -1;
  TensorError result;
  for (std::size_t k = 0; k < want.size(); ++k) {
    const double off = std::abs(static_cast<double>(got[k]) - want[k]);
    difference += off * off;
    norm += want[k] * want[k];
    if (off > furthest || std::isnan(off)) {
      furthest = std::isnan(off) ? INFINITY : off;
      result.worst = k;
    }
  }
  result.error = std::sqrt(difference) / std::max(std::sqrt(norm), 1.0);
  return result;
}

std::string place(const std::vector<std::int64_t>& shape, std::size_t index) {
  std::vector<std::size_t> coordinates(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    coordinates[axis] = index % static_cast<std::size_t>(shape[axis]);
    index /= static_cast<std::size_t>(shape[axis]);
  }
  std::string list = "[";
  for (std::size_t axis = 0; axis < coordinates.size(); ++axis)
    list += str_cat(axis > 0 ? "," : "", coordinates[axis]);
  return list + "]";
}

template <class Real>
Comparison run_and_compare(const Case& c, Precision precision, Runner& runner) {
  Buffers<Real> buffers(c);
  runner.run(c, buffers);
  return compare(c, buffers, tolerance(precision, c.steps));
}

}  // namespace

double tolerance(Precision precision, std::int64_t steps) {
  switch (precision) {
    case Precision::f64: return 1e-10;
    case Precision::f32: return steps <= 50 ? 2e-5 : 1e-4;
    case Precision::bf16: return 3e-2;
  }
  return 0;
}

template <class Real>
Comparison compare(const Case& c, const Buffers<Real>& buffers, double limit) {
  Comparison comparison{true, "(none)", 0, ""};
  bool first = true;
  for (const auto& answer : buffers.answers()) {
    const io::Tensor& tensor = c.file.at(answer.name);
    const std::vector<double> want = io::to_doubles(tensor);
    if (want.empty()) continue;
    const TensorError measured = measure(want, answer.values);
    const bool worse = first || measured.error > comparison.error || std::isnan(measured.error);
    first = false;
    if (!worse || std::isnan(comparison.error)) continue;
    comparison.tensor = answer.name;
    comparison.error = measured.error;
    if (measured.error <= limit) continue;  // a NaN fails
    comparison.passed = false;
    char values[80];
    std::snprintf(values, sizeof values, "got %.9g want %.9g",
                  static_cast<double>(answer.values[measured.worst]), want[measured.worst]);
    comparison.detail = str_cat(answer.name, " at ", place(tensor.shape, measured.worst), ": ", values);
  }
  return comparison;
}

template Comparison compare<float>(const Case&, const Buffers<float>&, double);
template Comparison compare<double>(const Case&, const Buffers<double>&, double);

int verify(const std::vector<std::string>& files, Precision precision, Runner& runner) {
  int passed = 0, failed = 0;
  for (const std::string& file : files) {
    const std::string name = std::filesystem::path(file).stem().string();
    try {
      const Case c = load_case(file);
      const Comparison comparison = precision == Precision::f64
                                        ? run_and_compare<double>(c, precision, runner)
                                        : run_and_compare<float>(c, precision, runner);
      if (comparison.passed) {
        ++passed;
        std::printf("ok %s worst %s %.1e\n", name.c_str(), comparison.tensor.c_str(), comparison.error);
      } else {
        ++failed;
        std::printf("FAIL %s %s (error %.1e, allowed %.0e)\n", name.c_str(), comparison.detail.c_str(),
                    comparison.error, tolerance(precision, c.steps));
      }
    } catch (const std::exception& error) {
      ++failed;
      std::printf("FAIL %s %s\n", name.c_str(), error.what());
    }
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace plasticity::parity
