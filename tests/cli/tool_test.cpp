// Runs the tool as a user does, and checks exit codes, output and files.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "plasticity/io/safetensors.hpp"
#include "problems/test_data.hpp"
#include "tool/draw/chart.hpp"

namespace plasticity {
namespace {

struct Outcome {
  int exit_code;
  std::string output;  // stdout and stderr
};

Outcome run(const std::string& arguments) {
  const std::string command = std::string(PLASTICITY_TOOL_PATH) + " " + arguments + " 2>&1";
  Outcome outcome{-1, ""};
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.output.append(buffer.data(), size);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

bool has(const Outcome& outcome, const std::string& part) {
  return outcome.output.find(part) != std::string::npos;
}

/// Each test has its own folder, which is removed at the end.
class Tool : public ::testing::Test {
 protected:
  Tool()
      : folder(std::filesystem::temp_directory_path() /
               ("plasticity_tool_" + std::to_string(getpid()) + "_" +
                ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder);
  }
  ~Tool() override { std::filesystem::remove_all(folder); }
  std::string at(const std::string& name) const { return (folder / name).string(); }

  const std::filesystem::path folder;
  const std::string cases = testing::test_data() / "parity/";
};

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

TEST_F(Tool, VerifyPassesAllCases) {
  for (const char* options : {"--device reference", "--device cpu", "--device cpu --precision f32"}) {
    const Outcome outcome = run(std::string("verify ") + options + " " + cases + "*.safetensors");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    EXPECT_EQ(last_line(outcome.output), "23 passed, 0 failed") << options;
    EXPECT_TRUE(outcome.output.starts_with("ok ff_decay_2016 worst ")) << outcome.output;
  }
}

TEST_F(Tool, VerifyReportsFailuresAndContinues) {
  io::TensorFile file = io::load(cases + "rnn_oja_2018.safetensors");
  std::vector<double> w = io::to_doubles(file.at("grad.w"));
  w[7] += .5;  // [1,2]
  file.tensors.at("grad.w") = io::make_tensor({5, 5}, std::span<const double>(w));
  io::save(at("wrong.safetensors"), file);
  file.tensors.erase("param.w");
  io::save(at("incomplete.safetensors"), file);
  std::ofstream(at("invalid.safetensors")) << "not a file of tensors";
  const Outcome outcome = run("verify " + at("wrong.safetensors") + " " + at("incomplete.safetensors") + " " +
                              at("invalid.safetensors") + " " + at("missing.safetensors") + " " + cases +
                              "rnn_soft_clip.safetensors");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(has(outcome, "FAIL wrong grad.w at [1,2]: got ")) << outcome.output;
  EXPECT_TRUE(has(outcome, "FAIL incomplete ") && has(outcome, "param.w")) << outcome.output;
  EXPECT_TRUE(has(outcome, "FAIL invalid ")) << outcome.output;
  EXPECT_TRUE(has(outcome, "FAIL missing ")) << outcome.output;
  EXPECT_TRUE(has(outcome, "ok rnn_soft_clip worst ")) << outcome.output;
  EXPECT_EQ(last_line(outcome.output), "1 passed, 4 failed");
}

TEST_F(Tool, WrongUsageExitsWithTwo) {
  for (const char* arguments :
       {"", "nonsense", "verify", "verify --device gpu x", "verify --precision f16 x",
        "verify --device reference --precision bf16 x", "verify --device cpu --path step x",
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

TEST_F(Tool, TimePrintsJson) {
  const Outcome outcome =
      run("time --cell lstm --rule hard_clip --rate fan_out --alpha post --neurons 9 --batch 3 --steps 5 "
          "--inputs 4 --device cpu "
          "--threads 2 --precision f64 --seconds 0.01");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  const auto json = nlohmann::json::parse(outcome.output);
  for (const char* key : {"forward_ms_per_step", "backward_ms_per_step"})
    EXPECT_GT(json.at(key).get<double>(), 0) << key;
  for (const char* key : {"tape_bytes", "scratch_bytes", "peak_rss_bytes"})
    EXPECT_GT(json.at(key).get<std::int64_t>(), 0) << key;
  EXPECT_GT(json.at("device_memory_bytes").get<std::int64_t>(),
            json.at("tape_bytes").get<std::int64_t>() + json.at("scratch_bytes").get<std::int64_t>());
  EXPECT_EQ(json.at("configuration").at("rule"), "hard_clip");
  EXPECT_EQ(json.at("configuration").at("threads"), 2);
}

// A wrong line prints an error, and the other lines are timed.
TEST_F(Tool, TimesManyConfigurationsInOneProcess) {
  const std::string common = "--rate fixed --batch 2 --steps 3 --device cpu --threads 1 --seconds 0 ";
  std::ofstream(at("lines")) << common << "--cell rnn --rule decay --neurons 9\n"
                             << common << "--cell cnn --rule decay --neurons 9\n"
                             << common << "--cell rnn --rule oja --neurons 9 --path step\n"
                             << common << "--cell rnn --rule oja --neurons 7\n";
  const Outcome outcome = run("times " + at("lines"));
  EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
  std::vector<nlohmann::json> results;
  std::istringstream lines(outcome.output);
  for (std::string line; std::getline(lines, line);) results.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(results.size(), 4u) << outcome.output;
  EXPECT_GT(results[0].at("forward_ms_per_step").get<double>(), 0);
  EXPECT_EQ(results[0].at("configuration").at("neurons"), 9);
  EXPECT_TRUE(results[1].at("error").get<std::string>().starts_with("--cell: cnn not in")) << results[1];
  EXPECT_TRUE(results[2].contains("error")) << results[2];
  EXPECT_EQ(results[3].at("configuration").at("neurons"), 7);
  EXPECT_EQ(run("times " + at("missing")).exit_code, 1);
}

TEST_F(Tool, PacedTimePrintsOneLinePerInputLine) {
  const std::string command = std::string("printf 'go\\ngo\\n' | ") + PLASTICITY_TOOL_PATH +
                              " time --cell rnn --rule decay --rate fixed --neurons 9 --batch 2 --steps 3 "
                              "--device cpu --threads 1 --seconds 0 --paced > " +
                              at("rounds");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(at("rounds"));
  int rounds = 0;
  for (std::string line; std::getline(file, line); ++rounds) {
    const auto json = nlohmann::json::parse(line);
    EXPECT_GT(json.at("backward_ms_per_step").get<double>(), 0);
    EXPECT_EQ(json.at("repetitions"), nlohmann::json({1, 1}));
    EXPECT_GE(json.at("peak_rss_bytes").get<std::int64_t>(), json.at("idle_rss_bytes").get<std::int64_t>());
  }
  EXPECT_EQ(rounds, 2);
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

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Interrupted and resumed training ends with the same bits as uninterrupted training. The tests use drawn
// pictures, so they need no data set.
TEST_F(Tool, ResumesFromCheckpoint) {
  const std::string common =
      "train images --data drawn --batch 2 --iterations 12 --device cpu --threads 2 --out ";
  const Outcome uninterrupted = run(common + at("uninterrupted"));
  ASSERT_EQ(uninterrupted.exit_code, 0) << uninterrupted.output;
  EXPECT_TRUE(uninterrupted.output.starts_with("pictures drawn by the program, 14x14"))
      << uninterrupted.output;
  EXPECT_TRUE(last_line(uninterrupted.output).starts_with("completion error: plastic 0."))
      << uninterrupted.output;
  EXPECT_TRUE(has(uninterrupted, "(1 = no idea), 1024 test episodes, "));
  for (const char* file : {"plastic.safetensors", "fixed.safetensors"})
    EXPECT_TRUE(std::filesystem::exists(folder / "uninterrupted" / file)) << file;
  for (const char* file : {"completion.png", "learning_curve.png"})
    EXPECT_EQ(std::filesystem::exists(folder / "uninterrupted" / file), draw::available) << file;
  EXPECT_NE(has(uninterrupted, draw::unavailable_reason), draw::available) << uninterrupted.output;

  // timeout sends SIGINT, as Ctrl-C does.
  const std::string slow =
      "train images --data drawn --batch 2 --iterations 12 --device cpu --threads 1 --out " + at("stopped");
  for (const char* seconds : {"1", "2", "4", "8"}) {  // a slow machine needs more than one second to load
    std::filesystem::remove_all(folder / "stopped");
    const std::string command = std::string("timeout -s INT ") + seconds + " " + PLASTICITY_TOOL_PATH + " " +
                                slow + " >/dev/null 2>&1";
    EXPECT_NE(std::system(command.c_str()), -1);
    if (std::filesystem::exists(folder / "stopped" / "images.checkpoint.safetensors")) break;
  }
  ASSERT_TRUE(std::filesystem::exists(folder / "stopped" / "images.checkpoint.safetensors"));
  const Outcome resumed = run(slow + " --resume");
  ASSERT_EQ(resumed.exit_code, 0) << resumed.output;
  EXPECT_TRUE(has(resumed, "resumed at iteration "));
  for (const char* file : {"plastic.safetensors", "fixed.safetensors"}) {
    EXPECT_EQ(read(at(std::string("uninterrupted/") + file)), read(at(std::string("stopped/") + file)))
        << file;
  }
}

TEST_F(Tool, ResumesWithMoreIterations) {
  const std::string common =
      "train images --data drawn --batch 1 --device cpu --threads 1 --out " + at("out");
  ASSERT_EQ(run(common + " --iterations 2").exit_code, 0);
  const Outcome more = run(common + " --iterations 4 --resume");
  EXPECT_EQ(more.exit_code, 0) << more.output;
  EXPECT_TRUE(has(more, "resumed at iteration 2 of 4")) << more.output;
  const Outcome same = run(common + " --resume");
  EXPECT_EQ(same.exit_code, 0) << same.output;
  EXPECT_TRUE(has(same, "resumed at iteration 4 of 4")) << same.output;
  const Outcome fewer = run(common + " --iterations 3 --resume");
  EXPECT_EQ(fewer.exit_code, 1);
  EXPECT_TRUE(has(fewer, "'iteration': expected 0 to 3, the number of iterations, got 4")) << fewer.output;
}

TEST_F(Tool, AFullDiskAtACheckpointIsAWarning) {
  const std::string command = std::string("bash -c \"trap '' XFSZ; ulimit -f 800; ") + PLASTICITY_TOOL_PATH +
                              " train images --data drawn --batch 1 --iterations 1 --device cpu --out " +
                              at("out") + "\" > " + at("output") + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << read(at("output"));
  const std::string output = read(at("output"));
  EXPECT_NE(output.find("plasticity: warning: no checkpoint at iteration 1: "), std::string::npos) << output;
  EXPECT_NE(output.find("\ncompletion error: "), std::string::npos) << output;  // a sanitizer may print more
}

// The disk is full at the first checkpoint, after ten seconds, and has room at the next one.
TEST_F(Tool, RetriesTheCheckpointAfterAFullDisk) {
  const std::string command =
      std::string("bash -c \"trap '' XFSZ; ulimit -S -f 800; ") + PLASTICITY_TOOL_PATH +
      " train images --data drawn --batch 1 --iterations 1000000 --device cpu" + " --threads 1 --out " +
      at("out") + " > " + at("output") + " 2>&1 & for k in \\$(seq 900); do grep -q warning " + at("output") +
      " && break; sleep .1; done; prlimit --pid \\$! --fsize=unlimited;" + " kill -TERM \\$!; wait \\$!\"";
  const int status = std::system(command.c_str());
  const std::string output = read(at("output"));
  EXPECT_EQ(WEXITSTATUS(status), 143) << output;
  EXPECT_NE(output.find("plasticity: warning: no checkpoint at iteration "), std::string::npos) << output;
  EXPECT_NE(output.find(" and saved in "), std::string::npos) << output;
  EXPECT_TRUE(std::filesystem::exists(folder / "out" / "images.checkpoint.safetensors"));
}

TEST_F(Tool, ProbesTheFoldersBeforeTraining) {
  std::ofstream(at("file")) << "not a folder";
  for (const std::string& arguments : {"--out " + at("file"), "--out " + at("file/below"),
                                       "--out " + at("out") + " --checkpoint " + at("no/such")}) {
    const Outcome outcome = run("train images --data drawn --device cpu " + arguments);
    EXPECT_EQ(outcome.exit_code, 1) << arguments;
    EXPECT_TRUE(has(outcome, ": cannot ")) << outcome.output;
    EXPECT_FALSE(has(outcome, "pictures drawn")) << "training began: " << outcome.output;
  }
}

TEST_F(Tool, ASignalIsInTheExitCode) {
  const std::string tool =
      std::string(PLASTICITY_TOOL_PATH) +
      " train images --data drawn --batch 1 --iterations 100000 --device cpu --threads 1 --out " + at("out") +
      " > " + at("output") + " 2>&1";
  for (const auto& [signal, code] : {std::pair("TERM", 143), std::pair("INT", 130)}) {
    std::filesystem::remove(at("output"));
    const std::string command = "bash -c '" + tool + " & for k in $(seq 600); do grep -q train " +
                                at("output") + " && break; sleep .1; done; sleep 1; kill -" + signal +
                                " $!; wait $!'";
    const int status = std::system(command.c_str());
    // A background process of a shell ignores SIGINT until the program sets a handler, which it does to
    // train.
    EXPECT_EQ(WEXITSTATUS(status), code) << read(at("output"));
  }
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
        std::string(PLASTICITY_TOOL_PATH) + " " + arguments + " > /dev/full 2> " + at("errors");
    EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1) << arguments;
    EXPECT_TRUE(last_line(read(at("errors"))).starts_with("plasticity: cannot write the output: "));
  }
}

TEST_F(Tool, RequiredOptionsHaveNoDefault) {
  const std::string help = run("time --help").output;
  std::istringstream lines(help);
  int required = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("REQUIRED") == std::string::npos) continue;
    ++required;
    EXPECT_EQ(line.find('='), std::string::npos) << line;
  }
  EXPECT_EQ(required, 6) << help;
}

TEST_F(Tool, RefusesCheckpointsOfOtherRuns) {
  const std::string common =
      "train images --data drawn --batch 1 --iterations 1 --device cpu --out " + at("out");
  ASSERT_EQ(run(common).exit_code, 0);
  const Outcome other = run(
      "train images --data drawn --batch 1 --iterations 1 --seed 7 --device cpu --resume --out " + at("out"));
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_TRUE(has(other, "'seed': expected 7, got 1")) << other.output;
  // Without --resume the earlier checkpoint is renamed.
  const Outcome again = run(common);
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "out" / "images.checkpoint.safetensors.previous"));
  ASSERT_EQ(run(common).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "out" / "images.checkpoint.safetensors.previous-2"));
  const Outcome in_place_of_a_folder = run(common + " --checkpoint " + at("out"));
  EXPECT_EQ(in_place_of_a_folder.exit_code, 1);
  EXPECT_TRUE(has(in_place_of_a_folder, "expected a regular file or no file, got a folder"));
  EXPECT_TRUE(std::filesystem::is_directory(folder / "out"));
  EXPECT_NE(run(common + " --seed -1").exit_code, 0);
  std::ofstream(at("out/images.checkpoint.safetensors")) << "torn";
  const Outcome torn = run(common + " --resume");
  EXPECT_EQ(torn.exit_code, 1);
  EXPECT_TRUE(has(torn, "images.checkpoint.safetensors")) << torn.output;
  const Outcome nothing =
      run("train images --resume --checkpoint " + at("none.safetensors") + " --out " + at("out"));
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_TRUE(has(nothing, "none.safetensors")) << nothing.output;
  const Outcome no_data = run("train images --data " + at("nowhere") + " --out " + at("out"));
  EXPECT_EQ(no_data.exit_code, 1);
  EXPECT_TRUE(has(no_data, "expected the IDX file of Omniglot, or a folder with train-images-idx3-ubyte"))
      << no_data.output;
}

TEST_F(Tool, RefusesPicturesOfAnotherSize) {
  std::filesystem::create_directory(at("data"));
  for (const char* name : {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte"}) {
    const unsigned char header[] = {0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 3};  // four pictures of 2x3
    std::ofstream file(at("data/") + name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(header), sizeof header);
    file << std::string(4 * 2 * 3, '\x7f');
  }
  const Outcome outcome = run("train images --data " + at("data") + " --out " + at("out"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(has(outcome, "train-images-idx3-ubyte: expected at least 3 pictures of 28x28, got 4 of 2x3"))
      << outcome.output;
  const Outcome characters =
      run("train images --data " + at("data/train-images-idx3-ubyte") + " --out " + at("out"));
  EXPECT_EQ(characters.exit_code, 1);
  EXPECT_TRUE(has(characters, "expected more than 19280 square drawings of characters, got 4 of 2x3"))
      << characters.output;
}

// A file with the number of drawings of Omniglot: one stroke each. The tool trains on them.
TEST_F(Tool, TrainsOnCharacters) {
  constexpr int count = 965 * 20, side = 5;
  std::ofstream file(at("characters"), std::ios::binary);
  const unsigned char header[] = {0, 0, 8, 3, 0, 0, count >> 8, count & 255, 0, 0, 0, side, 0, 0, 0, side};
  file.write(reinterpret_cast<const char*>(header), sizeof header);
  for (int index = 0; index < count; ++index) {
    std::string drawing(side * side, '\0');
    for (int pixel = 0; pixel < side; ++pixel)
      drawing[static_cast<std::size_t>(index % 3 == 0 ? pixel : side * pixel + index % side)] = '\xff';
    file << drawing;
  }
  file.close();
  const Outcome outcome = run("train images --data " + at("characters") +
                              " --batch 1 --iterations 1 --device cpu --out " + at("out"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_TRUE(outcome.output.starts_with("Omniglot, 14x14, 19280 to train and 20 to test")) << outcome.output;
}

}  // namespace
}  // namespace plasticity
