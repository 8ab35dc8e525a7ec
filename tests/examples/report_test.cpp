#include "common/report.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/experiment.hpp"
#include "support/files.hpp"

namespace examples {
namespace {

const double nan = std::nan("");

TEST(MedianCurve, MedianAndQuartilesOverRuns) {
  const plasticity::draw::Curve curve = median_curve("a", {{1, 10}, {2, 20}, {3, 30}, {4, 40}, {5, 50}});
  EXPECT_EQ(curve.x, (std::vector<double>{1, 2}));
  EXPECT_EQ(curve.y, (std::vector<double>{3, 30}));
  EXPECT_EQ(curve.low, (std::vector<double>{2, 20}));
  EXPECT_EQ(curve.high, (std::vector<double>{4, 40}));
}

TEST(MedianCurve, LongRunsInBlocksWithoutWhatIsNotANumber) {
  std::vector<double> run(600);
  for (std::size_t k = 0; k < run.size(); ++k) run[k] = k % 2 == 0 ? nan : static_cast<double>(k / 10);
  const plasticity::draw::Curve curve = median_curve("a", {run});
  ASSERT_EQ(curve.x.size(), 60u);
  EXPECT_EQ(curve.x.back(), 600);
  for (std::size_t block = 0; block < 60; ++block) EXPECT_EQ(curve.y[block], static_cast<double>(block));
  EXPECT_TRUE(median_curve("a", {{nan, nan}}).x.empty());
}

/// Runs an experiment of two learners, 3 iterations and 2 seeds; returns its exit code.
int run(std::vector<std::string> words, const std::filesystem::path& out, double limit) {
  Experiment experiment(
      {.name = "trial", .about = "A trial", .metric = "m", .x_label = "i", .iterations = 3, .quick = 2});
  words.insert(words.begin(), "trial");
  words.insert(words.end(), {"--out", out.string()});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return experiment.run(static_cast<int>(argv.size()), argv.data(), [&](Trial& trial) {
    for (std::int64_t k = 0; k < trial.iterations(); ++k) trial.step("one", static_cast<double>(k));
    trial.result("one", static_cast<double>(trial.seed()));
    trial.result("two", trial.recent("one", 2));
    trial.expect_below("one", limit);
  });
}

TEST(Experiment, ASeedThatFailsLosesNoneBeforeIt) {
  const plasticity::testing::TemporaryFolder out;
  Experiment experiment(
      {.name = "trial", .about = "A trial", .metric = "m", .x_label = "i", .iterations = 1});
  std::string words[] = {"trial", "--seeds", "3", "--device", "cpu", "--out", out.path().string()};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  const int code = experiment.run(static_cast<int>(argv.size()), argv.data(), [](Trial& trial) {
    if (trial.seed() == 3) throw std::runtime_error("cut short");
    trial.step("one", 1);
    trial.result("one", static_cast<double>(trial.seed()));
  });
  EXPECT_EQ(code, 2);
  std::ifstream in(out / "trial.json");
  const nlohmann::json json = nlohmann::json::parse(in);
  EXPECT_EQ(json["seeds"], (std::vector<int>{1, 2}));
  EXPECT_EQ(json["learners"][0]["mean"], 1.5);
  EXPECT_EQ(std::filesystem::exists(out / "trial.png"), plasticity::draw::available);
}

TEST(Experiment, AnOptionIsNoValueOfAnother) {
  Experiment experiment({.name = "trial", .about = "A trial", .metric = "m", .x_label = "i"});
  std::string words[] = {"trial", "--out", "--quick"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  EXPECT_EQ(experiment.run(3, argv.data(), [](Trial&) { ADD_FAILURE() << "runs"; }), 2);
}

TEST(Experiment, WritesItsOutcomesAndJudgesTheMeanOverSeeds) {
  const plasticity::testing::TemporaryFolder out;
  EXPECT_EQ(run({"--seed", "4", "--seeds", "3", "--device", "cpu"}, out.path(), 5.5), 0);
  EXPECT_EQ(std::filesystem::exists(out / "trial.png"), plasticity::draw::available);
  std::ifstream in(out / "trial.json");
  const nlohmann::json json = nlohmann::json::parse(in);
  EXPECT_EQ(json["seeds"], (std::vector<int>{4, 5, 6}));
  EXPECT_EQ(json["iterations"], 3);
  EXPECT_EQ(json["learners"][0]["name"], "one");
  EXPECT_EQ(json["learners"][0]["values"], (std::vector<double>{4, 5, 6}));
  EXPECT_EQ(json["learners"][1]["mean"], 1.5);
  EXPECT_EQ(run({"--seed", "4", "--seeds", "3", "--device", "cpu"}, out.path(), 5), 1);  // 5 is not below 5
  EXPECT_EQ(run({"--quick", "--iterations", "0"}, out.path(), 5), 2);
  EXPECT_EQ(run({"--no-such-option"}, out.path(), 5), 2);
}

}  // namespace
}  // namespace examples
