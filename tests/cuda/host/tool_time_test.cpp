// `plasticity time --device cuda` synchronizes once for many sequences. A synchronisation per sequence would
// be part of the measured time.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "simt/runtime.hpp"
#include "simt/schedules.hpp"
#include "tool/cli/commands.hpp"

namespace plasticity::cli {
namespace {

TEST(ToolTime, WaitsOnceForManySequences) {
  simt::run([] {
    CLI::App app;
    int exit_code = -1;
    add_time(app, exit_code);
    ::testing::internal::CaptureStdout();
    const auto before = simt::runtime::calls();
    app.parse(
        "time --cell rnn --rule decay --rate fixed --neurons 3 --batch 1 --steps 2 --device cuda --path cta "
        "--seconds .5");
    const auto after = simt::runtime::calls();
    const auto report = nlohmann::json::parse(::testing::internal::GetCapturedStdout());
    EXPECT_EQ(exit_code, 0);
    const auto sequences = report.at("repetitions").at(0).get<std::uint64_t>() +
                           report.at("repetitions").at(1).get<std::uint64_t>();
    EXPECT_GE(sequences, 100u);
    EXPECT_LE((after.synchronisations - before.synchronisations) * 10, sequences);
    EXPECT_GE(after.launches - before.launches, sequences);
  });
}

}  // namespace
}  // namespace plasticity::cli
