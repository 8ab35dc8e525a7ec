#include "tool/cli/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/str_cat.hpp"

namespace plasticity::cli {
namespace {

/// The number of letters to insert, delete or change to make b of a (Levenshtein).
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  const CLI::App* command = &app;
  for (int k = 1; k < argc; ++k) {
    const std::string word = argv[k];
    const std::vector<const CLI::App*> commands =
        command->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty() || word.starts_with('-')) return {};
    const auto found = std::find_if(commands.begin(), commands.end(),
                                    [&](const CLI::App* each) { return each->get_name() == word; });
    if (found != commands.end()) {
      command = *found;
      continue;
    }
    std::string names;
    const CLI::App* nearest = commands.front();
    for (const CLI::App* each : commands) {
      if (!names.empty()) names += ", ";
      names += each->get_name();
      if (distance(word, each->get_name()) < distance(word, nearest->get_name())) nearest = each;
    }
    const bool is_close = distance(word, nearest->get_name()) <= 1 + word.size() / 3;
    return str_cat("command '", word, "': expected one of ", names,
                   is_close ? str_cat("; did you mean '", nearest->get_name(), "'?") : "");
  }
  return {};
}

}  // namespace plasticity::cli
