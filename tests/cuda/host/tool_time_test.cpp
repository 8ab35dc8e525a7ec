// `plasticity time --device cuda` synchronizes once for many sequences. A synchronisation per sequence would
// be part of the measured time.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "plasticity/error.hpp"
#include "simt/runtime.hpp"
#include "simt/schedules.hpp"
#include "support/environment.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "tool/cli/commands.hpp"

namespace plasticity::cli {
namespace {

TEST(ToolTime, WaitsOnceForManySequences) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "so few sequences fit into the time under a sanitizer that each gets a wait of its own";
#endif
  simt::run([] {
    CLI::App app;
    int exit_code = -1;
    add_time(app, exit_code);
    ::testing::internal::CaptureStdout();
    const auto before = simt::runtime::calls();
    app.parse(
        "time --cell rnn --rule decay --rate fixed --neurons 3 --batch 1 --steps 2 --device cuda "
        "--execution cta --seconds .5");
    const auto after = simt::runtime::calls();
    const auto report = nlohmann::json::parse(::testing::internal::GetCapturedStdout());
    EXPECT_EQ(exit_code, 0);
    const auto sequences = report.at("repetitions").at(0).get<std::uint64_t>() +
                           report.at("repetitions").at(1).get<std::uint64_t>();
    EXPECT_GE(sequences, 100u);
    // 20 sequences share a wait on an idle machine, and fewer if their time is longer.
    EXPECT_LE((after.synchronisations - before.synchronisations) * 4, sequences);
    EXPECT_GE(after.launches - before.launches, sequences);
  });
}

// Needs no GPU: the estimates are a calculation.
TEST(ToolTime, PrintsEstimatesOfAGpu) {
  CLI::App app;
  int exit_code = -1;
  add_time(app, exit_code);
  ::testing::internal::CaptureStdout();
  app.parse("time --cell rnn --rule decay --rate fixed --neurons 64 --batch 64 --steps 50 --estimate h100");
  const auto report = nlohmann::json::parse(::testing::internal::GetCapturedStdout());
  EXPECT_EQ(exit_code, 0);
  EXPECT_EQ(report.at("gpu"), "h100");
  std::vector<std::string> chosen;
  for (const auto& candidate : report.at("candidates")) {
    EXPECT_GT(candidate.at("forward_us_per_step").get<double>(), 0);
    EXPECT_GT(candidate.at("backward_us_per_step").get<double>(), 0);
    if (candidate.at("chosen").get<bool>()) chosen.push_back(candidate.at("execution").get<std::string>());
  }
  EXPECT_EQ(chosen.size(), 1u);
  EXPECT_GE(report.at("candidates").size(), 5u);
}

// Needs no GPU: the times are those of the file.
TEST(ToolTune, FitsTheTimesOfAFile) {
  CLI::App app;
  int exit_code = -1;
  add_tune(app, exit_code);
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder / "fitted.json";
  ::testing::internal::CaptureStdout();
  app.parse("tune " + path.string() + " --fit " PLASTICITY_MEASURED_TIMES);
  const std::string printed = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(exit_code, 0);
  EXPECT_NE(printed.find("step_row"), std::string::npos) << printed;
  EXPECT_NE(printed.find("error of the estimates"), std::string::npos) << printed;
  std::ifstream file(path);
  const auto written = nlohmann::json::parse(file);
  EXPECT_GT(written.at("constants").at("step_row").get<double>(), 0);
  EXPECT_GE(written.at("observations").size(), 100u);
}

TEST(ToolTune, NeedsAGpu) {
  CLI::App app;
  int exit_code = -1;
  add_tune(app, exit_code);
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder / "tuning.json";
  simt::runtime::set_device_count(0);
  const Error error = testing::error_of([&] { app.parse("tune " + path.string()); });
  EXPECT_EQ(error.code(), ErrorCode::device_unavailable);
  EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
  simt::runtime::reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ToolTrain, ARankUsesItsGpuAlone) {
  const testing::EnvironmentVariable rank("MPI_LOCALRANKID", "1"), size("MPI_LOCALNRANKS", "2");
  for (const char* const name : {"cuda", "best"}) {
    simt::runtime::reset();
    simt::runtime::set_device_count(2);
    EXPECT_EQ(device_of_rank(name, 0), Device::cuda(1)) << name;
    EXPECT_EQ(simt::runtime::contexts(), std::set<int>{1}) << name;
    simt::runtime::set_device_count(1);
    EXPECT_EQ(testing::error_of([&] { device_of_rank(name, 0); }).code(), ErrorCode::device_unavailable)
        << name;
  }
  simt::runtime::set_device_count(0);
  EXPECT_EQ(device_of_rank("best", 3), Device::cpu(3));
  simt::runtime::reset();
}

}  // namespace
}  // namespace plasticity::cli
