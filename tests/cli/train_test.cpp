// `plasticity train images`: its results, checkpoints, data and signals.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/tool.hpp"
#include "plasticity/io/safetensors.hpp"
#include "tool/draw/chart.hpp"

namespace plasticity {
namespace {

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
    EXPECT_EQ(testing::read_file(at(std::string("uninterrupted/") + file)),
              testing::read_file(at(std::string("stopped/") + file)))
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
  const std::string command = std::string("bash -c \"ulimit -f 800; ") + PLASTICITY_TOOL_PATH +
                              " train images --data drawn --batch 1 --iterations 1 --device cpu --out " +
                              at("out") + "\" > " + at("output") + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << testing::read_file(at("output"));
  const std::string output = testing::read_file(at("output"));
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
  const std::string output = testing::read_file(at("output"));
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
  for (const auto& [signal, code] : {std::pair("TERM", 143), std::pair("INT", 130), std::pair("HUP", 129)}) {
    std::filesystem::remove(at("output"));
    const std::string command = "bash -c 'env --default-signal=HUP " + tool +
                                " & for k in $(seq 600); do grep -q train " + at("output") +
                                " && break; sleep .1; done; sleep 1; kill -" + signal + " $!; wait $!'";
    const int status = std::system(command.c_str());
    // A background process of a shell ignores SIGINT until the program sets a handler, which it does to
    // train.
    EXPECT_EQ(WEXITSTATUS(status), code) << testing::read_file(at("output"));
  }
}

TEST_F(Tool, NohupKeepsItTraining) {
  const std::string command =
      std::string("bash -c 'env --ignore-signal=HUP ") + PLASTICITY_TOOL_PATH +
      " train images --data drawn --batch 1 --iterations 100000 --device cpu --threads 1 --out " + at("out") +
      " > " + at("output") + " 2>&1 & for k in $(seq 600); do grep -q train " + at("output") +
      " && break; sleep .1; done; sleep 1; kill -HUP $!; sleep 1; kill -TERM $!; wait $!'";
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 143) << testing::read_file(at("output"));
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
  for (const char* name : {"plastic.safetensors", "completion.png"}) {
    const Outcome result = run(common + " --checkpoint " + at("out/../out/") + name);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_TRUE(has(result, std::string("--checkpoint: expected another file than the result ") + name))
        << result.output;
  }
  const Outcome no_name = run("train images --data drawn --out ''");
  EXPECT_EQ(no_name.exit_code, 2);
  EXPECT_TRUE(has(no_name, "--out: expected a folder, got an empty name")) << no_name.output;
  const Outcome no_data = run("train images --data " + at("nowhere") + " --out " + at("out"));
  EXPECT_EQ(no_data.exit_code, 1);
  EXPECT_TRUE(has(no_data, "expected the IDX file of Omniglot, or a folder with train-images-idx3-ubyte"))
      << no_data.output;
}

TEST_F(Tool, ResumesDrawnPicturesWithOrWithoutData) {
  const std::string common = "train images --batch 1 --device cpu --threads 1 --out " + at("out");
  ASSERT_EQ(run(common + " --data drawn --iterations 1").exit_code, 0);
  const Outcome without = run(common + " --iterations 2 --resume");
  EXPECT_EQ(without.exit_code, 0) << without.output;
  EXPECT_TRUE(without.output.starts_with("pictures drawn by the program")) << without.output;
  EXPECT_TRUE(has(without, "resumed at iteration 1 of 2")) << without.output;
  const Outcome with = run(common + " --data drawn --iterations 3 --resume");
  EXPECT_EQ(with.exit_code, 0) << with.output;
  EXPECT_TRUE(has(with, "resumed at iteration 2 of 3")) << with.output;
}

TEST_F(Tool, RefusesDamagedCurvesOfACheckpoint) {
  const std::string common =
      "train images --data drawn --batch 1 --device cpu --threads 1 --out " + at("out") + " --iterations ";
  ASSERT_EQ(run(common + "2").exit_code, 0);
  const std::string checkpoint = at("out/images.checkpoint.safetensors");
  const io::TensorFile whole = io::load(checkpoint);
  ASSERT_EQ(whole.at("evaluated_at").shape, std::vector<std::int64_t>{2});
  const struct {
    const char* tensor;
    std::vector<float> values;
    const char* message;
  } damages[] = {
      {"evaluated_at", {}, "'plastic.curve': expected 0 elements, got 2"},
      {"evaluated_at", {2, 1}, "'evaluated_at': expected iterations from 1 to 2 in their order, got 1"},
      {"evaluated_at", {1, 3}, "'evaluated_at': expected iterations from 1 to 2 in their order, got 3"},
      {"evaluated_at", {NAN, NAN}, "'evaluated_at': expected iterations from 1 to 2 in their order, got nan"},
      {"plastic.curve", {1, 1, 1}, "'plastic.curve': expected 2 elements, got 3"},
      {"fixed.curve", {}, "'fixed.curve': expected 2 elements, got 0"},
      {"fixed.curve", {1, NAN}, "'fixed.curve': expected values of at least 0, got nan"},
  };
  for (const auto& damaged : damages) {
    io::TensorFile file = whole;
    file.tensors[damaged.tensor] = io::make_tensor({static_cast<std::int64_t>(damaged.values.size())},
                                                   std::span<const float>(damaged.values));
    io::save(checkpoint, file);
    const std::string before = testing::read_file(checkpoint);
    const Outcome outcome = run(common + "3 --resume");
    EXPECT_EQ(outcome.exit_code, 1) << damaged.message;
    EXPECT_TRUE(has(outcome, damaged.message)) << outcome.output << "\nlacks: " << damaged.message;
    EXPECT_TRUE(testing::read_file(checkpoint) == before) << damaged.message;
  }
}

/// Writes pictures of 28x28, all of one shade.
void write_pictures(const std::string& folder, char shade) {
  std::filesystem::create_directory(folder);
  for (const char* name : {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte"}) {
    const unsigned char header[] = {0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 28, 0, 0, 0, 28};
    std::ofstream file(folder + "/" + name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(header), sizeof header);
    file << std::string(4 * 28 * 28, shade);
  }
}

TEST_F(Tool, RefusesToResumeOnOtherPictures) {
  write_pictures(at("black"), '\0');
  write_pictures(at("grey"), '\x7f');
  const std::string common =
      "train images --batch 1 --iterations 1 --device cpu --threads 1 --out " + at("out") + " --data ";
  const Outcome trained = run(common + at("black"));
  EXPECT_EQ(trained.exit_code, 0) << trained.output;
  EXPECT_TRUE(has(trained, "completion error: plastic 0.000, fixed weights 0.000")) << trained.output;
  const Outcome other = run(common + at("grey") + " --resume");
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_TRUE(has(other, "(checkpoint): expected the pictures of --data, got a run on other pictures"))
      << other.output;
  EXPECT_EQ(run(common + at("black") + " --resume").exit_code, 0);
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
