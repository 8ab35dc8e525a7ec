#include "support/test_data.hpp"

#include <algorithm>
#include <cstdlib>

namespace plasticity::testing {
namespace fs = std::filesystem;

fs::path test_data() {
  if (const char* folder = std::getenv("PLASTICITY_TEST_DATA")) return folder;
  std::error_code error;
  fs::path above = fs::read_symlink("/proc/self/exe", error).parent_path();
  while (!error && above.has_relative_path()) {
    if (fs::is_directory(above / "tests/data", error)) return above / "tests/data";
    error.clear();
    above = above.parent_path();
  }
  return PLASTICITY_TEST_DATA;
}

std::vector<fs::path> parity_cases() {
  std::vector<fs::path> cases;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(test_data() / "parity", error)) {
    if (entry.path().extension() == ".safetensors") cases.push_back(entry.path());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

}  // namespace plasticity::testing
