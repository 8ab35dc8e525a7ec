// The commands of the tool, its settings, and its exit codes.
#include <cstdlib>

#include "base/str_cat.hpp"
#include "cli/tool.hpp"

namespace plasticity {
namespace {

TEST_F(Tool, InfoPrintsDevicesAndSettings) {
  const Outcome outcome = run("info");
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* subject :
       {"plasticity ", "\nbuild ", "\ncpu ", "\nthreads ", "\nisa ", "\ncuda ", "\nbest ",
        "\nPLASTICITY_VERBOSE ", "\nPLASTICITY_THREADS ", "\nPLASTICITY_ISA ", "\nPLASTICITY_TIME_LIMIT "}) {
    EXPECT_TRUE(has(outcome, subject)) << subject << " in " << outcome.output;
  }
  EXPECT_FALSE(has(outcome, "build          ,")) << "no build type: " << outcome.output;
}

TEST_F(Tool, WrongUsageExitsWithTwo) {
  for (const char* arguments :
       {"", "nonsense", "verify", "verify --device gpu x", "verify --precision f16 x",
        "verify --device reference --precision bf16 x", "verify --device cpu --execution step x",
        "verify --device reference --path grid x", "time --cell rnn",
        "time --cell cnn --rule decay --rate fixed --neurons 4 --batch 1 --steps 1",
        "time --cell rnn --rule decay --rate fixed --neurons 0 --batch 1 --steps 1",
        "time --cell rnn --rule decay --rate fixed --eligibility after --neurons 4 --batch 1 --steps 1",
        "time --cell lstm --rule decay --rate fixed --neurons 4 --batch 1 --steps 1", "train",
        "train pictures", "train images --size 15", "train images --iterations 0",
        "train images --threads -1", "info --color"}) {
    EXPECT_EQ(run(arguments).exit_code, 2) << arguments;
  }
}

TEST_F(Tool, AnOptionIsNoValueOfAnother) {
  const Outcome outcome = run("train images --out --iterations 1");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(has(outcome, "--out: expected a value, got the option '--iterations'")) << outcome.output;
}

TEST_F(Tool, VerbosePrintsDecisions) {
  const std::string command = "verify --device cpu " + cases + "rnn_decay_2018.safetensors";
  EXPECT_FALSE(has(run(command), "plasticity: "));
  setenv("PLASTICITY_VERBOSE", "dispatch", 1);
  const Outcome dispatch = run(command);
  setenv("PLASTICITY_VERBOSE", "profile", 1);
  const Outcome profile = run(command);
  setenv("PLASTICITY_VERBOSE", "info", 1);
  const Outcome best = run("info");
  unsetenv("PLASTICITY_VERBOSE");
  EXPECT_TRUE(has(dispatch, "plasticity: plan: rnn decay fixed") && has(dispatch, "tape "))
      << dispatch.output;
  EXPECT_FALSE(has(dispatch, "backward: "));
  EXPECT_TRUE(has(profile, "plasticity: backward: ")) << profile.output;
  EXPECT_TRUE(has(best, "plasticity: device: ")) << best.output;
  setenv("PLASTICITY_THREADS", "many", 1);
  const Outcome threads = run(command);
  unsetenv("PLASTICITY_THREADS");
  EXPECT_EQ(threads.exit_code, 2);
  EXPECT_TRUE(has(threads, "PLASTICITY_THREADS: expected a number from 1 to 1024, got 'many'"))
      << threads.output;
  setenv("PLASTICITY_ISA", "avx9", 1);
  const Outcome isa = run(command);
  unsetenv("PLASTICITY_ISA");
  EXPECT_NE(isa.exit_code, 0);
  EXPECT_TRUE(has(isa, "PLASTICITY_ISA: expected baseline, avx2 or avx512, got 'avx9'")) << isa.output;
  setenv("PLASTICITY_VERBOSE", "loud", 1);
  const Outcome loud = run("info");
  unsetenv("PLASTICITY_VERBOSE");
  EXPECT_EQ(loud.exit_code, 0);
  EXPECT_TRUE(has(loud, "PLASTICITY_VERBOSE: expected info, dispatch or profile, got 'loud'; using info"))
      << loud.output;
  EXPECT_TRUE(has(loud, "plasticity: device: ")) << loud.output;
}

TEST_F(Tool, NamesTheNearestCommand) {
  EXPECT_EQ(last_line(run("trian images").output),
            "plasticity: command 'trian': expected one of info, verify, time, times, train, tune; did you "
            "mean 'train'?");
  EXPECT_EQ(last_line(run("train imges").output),
            "plasticity: command 'imges': expected one of images; did you mean 'images'?");
  EXPECT_EQ(last_line(run("frobnicate").output),
            "plasticity: command 'frobnicate': expected one of info, verify, time, times, train, tune");
}

TEST_F(Tool, OutputThatCannotBeWrittenIsAnError) {
  for (const char* arguments : {"info", "--help", "--version"}) {
    const std::string command =
        str_cat(PLASTICITY_TOOL_PATH, " ", arguments, " > /dev/full 2> ", at("errors"));
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1) << arguments;
    EXPECT_TRUE(
        last_line(testing::read_file(at("errors"))).starts_with("plasticity: cannot write the output: "));
  }
}

}  // namespace
}  // namespace plasticity
