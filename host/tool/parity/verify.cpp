#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/throw_error.hpp"
#include "tool/parity/case.hpp"

namespace plasticity::parity {
namespace {

struct TensorError {
  double error = 0;       // |got - want| / max(|want|, 1)
  std::size_t worst = 0;  // index of the element with the largest difference
};

template <class Real>
TensorError measure(const std::vector<double>& want, const Real* got) {
  double squared_difference = 0, squared_norm = 0, max_difference = -1;
  TensorError result;
  for (std::size_t k = 0; k < want.size(); ++k) {
    const double difference = std::abs(static_cast<double>(got[k]) - want[k]);
    squared_difference += difference * difference;
    squared_norm += want[k] * want[k];
    if (difference > max_difference || std::isnan(difference)) {
      max_difference = std::isnan(difference) ? INFINITY : difference;
      result.worst = k;
    }
  }
  result.error = std::sqrt(squared_difference) / std::max(std::sqrt(squared_norm), 1.0);
  return result;
}

/// "[i,j,k]" of a linear index.
std::string position(const std::vector<std::int64_t>& shape, std::size_t index) {
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
  for (const auto& result : buffers.results()) {
    const io::Tensor& tensor = c.file.at(result.name);
    const std::vector<double> want = io::to_doubles(tensor);
    if (want.empty()) continue;
    const TensorError measured = measure(want, result.values);
    const bool worse = first || measured.error > comparison.error || std::isnan(measured.error);
    first = false;
    if (!worse || std::isnan(comparison.error)) continue;
    comparison.tensor = result.name;
    comparison.error = measured.error;
    if (measured.error <= limit) continue;  // a NaN fails
    comparison.passed = false;
    char values[80];
    std::snprintf(values, sizeof values, "got %.9g want %.9g",
                  static_cast<double>(result.values[measured.worst]), want[measured.worst]);
    comparison.detail = str_cat(result.name, " at ", position(tensor.shape, measured.worst), ": ", values);
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
