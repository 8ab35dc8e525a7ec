// Loads nearly valid files under AddressSanitizer and UndefinedBehaviorSanitizer:
//
//   loader_fuzz [--runs N] [--seconds S] [--seed N] [--first N]
//
// Each input must load or throw an Error that names the file, with memory in proportion to the size of the
// file. Loaded content must be the same after it is saved and loaded again. An input depends only on the seed
// and its number. An input that fails is written to a file in the current folder, and the program prints the
// options that repeat it.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <string>

#include "io/mutate.hpp"
#include "plasticity/error.hpp"
#include "plasticity/io/idx.hpp"
#include "plasticity/io/safetensors.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#ifndef __SANITIZE_ADDRESS__
#error "loader_fuzz finds little without -fsanitize=address,undefined"
#endif

// Every sanitizer error raises SIGABRT, whose handler writes the input to a file.
extern "C" const char* __asan_default_options() {
  return "abort_on_error=1:handle_abort=0:allocator_may_return_null=0:max_allocation_size_mb=64";
}
extern "C" const char* __ubsan_default_options() {
  return "abort_on_error=1:handle_abort=0:print_stacktrace=1";
}

// Declared in the sanitizers' headers, which some compiler packages lack.
extern "C" std::size_t __sanitizer_get_allocated_size(const volatile void* pointer);

namespace {

// Allocated bytes, and their maximum since the last reset.
std::size_t live = 0, peak = 0;

}  // namespace

extern "C" void __sanitizer_malloc_hook(const volatile void*, std::size_t size) {
  live += size;
  peak = std::max(peak, live);
}
extern "C" void __sanitizer_free_hook(const volatile void* pointer) {
  live -= pointer ? __sanitizer_get_allocated_size(pointer) : 0;
}

namespace plasticity::testing {
namespace {

// The current input, for the signal handlers.
std::uint64_t seed = 1, number = 0;
const char* bytes_at_hand = nullptr;
std::size_t size_at_hand = 0;
std::string folder_at_hand, files_at_hand[2];

/// Writes the input to a file and prints the options that repeat it. Calls only functions that are safe in a
/// signal handler.
void report(const char* reason) {
  char name[100], line[500];
  std::snprintf(name, sizeof name, "loader_fuzz-%llu-%llu.input", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(number));
  const int file = ::open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  const bool left =
      file >= 0 && ::write(file, bytes_at_hand, size_at_hand) == static_cast<ssize_t>(size_at_hand);
  const int length = std::snprintf(
      line, sizeof line, "\nloader_fuzz: %s\ninput %s %s; repeat with --seed %llu --first %llu --runs 1\n",
      reason, left ? "left in" : "could not be left in", name, static_cast<unsigned long long>(seed),
      static_cast<unsigned long long>(number));
  if (::write(STDERR_FILENO, line, static_cast<std::size_t>(length)) < 0) return;
  for (const std::string& path : files_at_hand) ::unlink(path.c_str());
  ::rmdir(folder_at_hand.c_str());
}

// Exits instead of raising a signal, because ctest treats a signal as a failure even if one is expected.
void on_abort(int) {
  report("the program was aborted, see above");
  ::_exit(1);
}
void on_alarm(int) {
  report("the input took longer than 60 s");
  ::_exit(1);
}

[[noreturn]] void failed(const std::string& reason) {
  report(reason.c_str());
  std::exit(1);
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  if (!out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) {
    throw std::runtime_error("cannot write " + path.string());
  }
}

/// Returns a message without its numbers and quoted names.
std::string kind_of(const std::string& message) {
  std::string out;
  bool in_quotes = false;
  for (const char c : message) {
    if (c == '"') in_quotes = !in_quotes;
    if (!in_quotes && (c < '0' || c > '9')) out += c;
  }
  return out;
}

struct Outcome {
  bool loaded = false;
  std::size_t memory = 0;  // the maximum that was allocated
  std::string refusal;
};

/// Calls `load` and checks that it returns or throws a valid Error.
template <class Load, class Result>
Outcome attempt(const std::filesystem::path& path, Result& result, Load&& load) {
  Outcome outcome;
  const std::size_t before = live;
  peak = live;
  try {
    result = load();
    outcome.loaded = true;
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.code() != ErrorCode::format && error.code() != ErrorCode::unsupported) {
      failed("an error, but not of format: " + message);
    }
    if (!message.starts_with(path.string() + ": ")) failed("no file name: " + message);
    if (message.size() > 1000) failed("a message of more than 1000 characters: " + message);
    outcome.refusal = kind_of(message.substr(path.string().size()));
  } catch (const std::exception& error) {
    failed(std::string("another exception: ") + error.what());
  } catch (...) {
    failed("another exception");
  }
  outcome.memory = peak - before;
  return outcome;
}

Outcome try_safetensors(const std::filesystem::path& folder, std::size_t size) {
  io::TensorFile file;
  const auto path = folder / "input", copy = folder / "copy";
  const Outcome outcome = attempt(path, file, [&] { return io::load(path); });
  // A header entry needs several times the size of its text: its fields, and the copies of the parser.
  if (outcome.memory > 16 * size + (1 << 14)) failed("too much memory: " + std::to_string(outcome.memory));
  if (!outcome.loaded) return outcome;
  for (const auto& [name, tensor] : file.tensors) {
    const auto count = static_cast<std::size_t>(io::elements(tensor));
    if (io::to_doubles(tensor).size() != count || io::to_floats(tensor).size() != count) {
      failed("conversion of " + name);
    }
  }
  io::save(copy, file);
  if (!(io::load(copy) == file)) failed("differs after save and load");
  return outcome;
}

Outcome try_idx(const std::filesystem::path& folder, const std::string& bytes) {
  io::Images images;
  const auto path = folder / "input";
  const Outcome outcome = attempt(path, images, [&] { return io::read_idx_images(path); });
  // Deflate expands a byte to at most 1032 bytes, a vector grows by copying, and the reader starts with 1
  // MiB.
  const std::size_t max_data = bytes.size() * (bytes.starts_with("\x1f\x8b") ? 1032 : 1);
  if (outcome.memory > 3 * max_data + (1 << 20) + (1 << 16)) {
    failed("too much memory: " + std::to_string(outcome.memory));
  }
  if (bytes.size() >= 4) {  // the same bytes as a labels file
    std::vector<std::uint8_t> labels;
    write(folder / "labels", big_endian(0x801) + bytes.substr(4));
    const Outcome other =
        attempt(folder / "labels", labels, [&] { return io::read_idx_labels(folder / "labels"); });
    if (other.memory > 3 * bytes.size() + (1 << 20) + (1 << 16)) {
      failed("too much memory for labels: " + std::to_string(other.memory));
    }
  }
  if (!outcome.loaded) return outcome;
  if (images.pixels.size() != static_cast<std::size_t>(images.count * images.rows * images.columns)) {
    failed("the number of pixels does not match its sizes");
  }
  write(folder / "copy",
        idx(static_cast<std::uint32_t>(images.count), static_cast<std::uint32_t>(images.rows),
            static_cast<std::uint32_t>(images.columns), {images.pixels.begin(), images.pixels.end()}));
  if (io::read_idx_images(folder / "copy").pixels != images.pixels) {
    failed("differs after writing and reading");
  }
  return outcome;
}

Outcome try_input(const std::filesystem::path& folder, const Input& input) {
  try {
    return input.is_idx ? try_idx(folder, input.bytes) : try_safetensors(folder, input.bytes.size());
  } catch (const std::exception& error) {
    failed(std::string("loaded content causes an exception: ") + error.what());
  }
}

/// Makes a deliberate mistake, to check that the driver finds it.
void mistake(const std::string& kind) {
  volatile int index = 10;
  if (kind == "overflow") std::string(static_cast<std::size_t>(index) * 10, 'x').data()[index * 11] = 'y';
  if (kind == "undefined") index = INT32_MAX + index;
  if (kind == "allocation") std::string(static_cast<std::size_t>(index) << 27, 'x');
  std::cout << "the mistake was not found: " << kind << "\n";
}

int fuzz(std::uint64_t first, std::uint64_t runs, double seconds) {
  // Use a folder in memory if possible: saving to a disk is slow.
  const bool shm = ::access("/dev/shm", W_OK) == 0;
  std::string name =
      ((shm ? "/dev/shm" : std::filesystem::temp_directory_path()) / "loader_fuzz-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
  const std::filesystem::path folder = folder_at_hand = name;
  files_at_hand[0] = folder / "input";
  files_at_hand[1] = folder / "copy";

  const auto start = std::chrono::steady_clock::now();
  std::uint64_t loaded = 0;
  std::set<std::string> refusals;
  std::size_t memory = 0;
  for (number = first; number - first < runs; ++number) {
    if (seconds > 0 &&
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds)
      break;
    const Input input = Mutator(seed * 0x9e3779b97f4a7c15u + number).next();
    bytes_at_hand = input.bytes.data();
    size_at_hand = input.bytes.size();
    write(folder / "input", input.bytes);
    ::alarm(60);
    const Outcome outcome = try_input(folder, input);
    loaded += outcome.loaded ? 1 : 0;
    if (!outcome.loaded) refusals.insert(outcome.refusal);
    memory = std::max(memory, outcome.memory);
  }
  ::alarm(0);
  std::filesystem::remove_all(folder);
  const std::uint64_t done = number - first;
  std::cout << done << " inputs: " << loaded << " loaded, " << done - loaded << " refused for "
            << refusals.size() << " reasons; at most " << memory << " bytes of memory\n";
  // Fail if the inputs no longer reach the loaders' checks, for example after a change of a format.
  if (done >= 5000 && (loaded < done / 20 || loaded > done / 2 || refusals.size() < 50)) {
    std::cerr << "loader_fuzz: too few inputs load, or too few different errors occur\n";
    return 1;
  }
  return 0;
}

int run(int argc, char** argv) {
  std::uint64_t first = 0, runs = UINT64_MAX;
  double seconds = 0;
  std::string wrong;
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i];
    if (i + 1 == argc) {
      std::cerr << "usage: loader_fuzz [--runs N] [--seconds S] [--seed N] [--first N] [--mistake KIND]\n";
      return 2;
    }
    const std::string value = argv[i + 1];
    if (option == "--runs") {
      runs = std::stoull(value);
    } else if (option == "--seconds") {
      seconds = std::stod(value);
    } else if (option == "--seed") {
      seed = std::stoull(value);
    } else if (option == "--first") {
      first = std::stoull(value);
    } else if (option == "--mistake") {
      wrong = value;
    } else {
      throw std::invalid_argument("unknown option " + option);
    }
  }
  if (runs == UINT64_MAX && seconds <= 0) runs = 10000;
  std::signal(SIGABRT, on_abort);
  std::signal(SIGALRM, on_alarm);

  const std::size_t before = live;
  const std::string probe(12345, 'x');
  if (live < before + probe.size()) throw std::runtime_error("allocations are not counted");
  if (!wrong.empty()) {
    mistake(wrong);
    return 0;
  }
  return fuzz(first, runs, seconds);
}

}  // namespace
}  // namespace plasticity::testing

int main(int argc, char** argv) {
  try {
    return plasticity::testing::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "loader_fuzz: " << error.what() << "\n";
    return 2;
  }
}
