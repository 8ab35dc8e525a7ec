// The helpers that the readers and writers share.
#include <array>
#include <stdexcept>

#include "io/atomic_file.hpp"
#include "io/input_file.hpp"
#include "io/messages.hpp"
#include "io/scratch.hpp"

namespace plasticity::io_test {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(AtomicFile, IsThereAfterCommitOnly) {
  const Scratch scratch;
  put(scratch / "file", "old");
  {
    io::AtomicFile file(scratch / "file");
    file.write(bytes_of("new "));
    EXPECT_EQ(get(scratch / "file"), "old");
    file.write(bytes_of("text"));
    EXPECT_EQ(get(scratch / "file"), "old");
    file.commit();
    EXPECT_EQ(get(scratch / "file"), "new text");
  }
  EXPECT_EQ(get(scratch / "file"), "new text");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"file"});
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const Scratch scratch;
  put(scratch / "file", "old");
  for (const char* name : {"file", "other"}) {
    io::AtomicFile file(scratch / name);
    file.write(bytes_of("new"));
    EXPECT_EQ(scratch.names().size(), 2u);
  }
  EXPECT_EQ(get(scratch / "file"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"file"});
}

TEST(AtomicFile, TwoAtOnceDoNotMeet) {
  const Scratch scratch;
  io::AtomicFile first(scratch / "file"), second(scratch / "file");
  first.write(bytes_of("first"));
  second.write(bytes_of("second"));
  second.commit();
  EXPECT_EQ(get(scratch / "file"), "second");
  first.commit();
  EXPECT_EQ(get(scratch / "file"), "first");
  EXPECT_EQ(scratch.names().size(), 1u);
}

TEST(AtomicFile, LeavesAloneWhatHasTheTemporaryName) {
  const Scratch scratch;
  std::string last;
  {
    const io::AtomicFile file(scratch / "file");
    last = scratch.names().at(0);  // .plasticity-PROCESS-NUMBER.tmp
  }
  const std::size_t at = last.rfind('-') + 1;
  const int number = std::stoi(last.substr(at));
  for (int next = number + 1; next < number + 4; ++next) {
    put(scratch / (last.substr(0, at) + std::to_string(next) + ".tmp"), "not ours");
  }
  io::AtomicFile file(scratch / "file");
  file.write(bytes_of("ours"));
  file.commit();
  EXPECT_EQ(get(scratch / "file"), "ours");
  EXPECT_EQ(scratch.names().size(), 4u);
  for (const std::string& name : scratch.names())
    EXPECT_EQ(get(scratch / name), name == "file" ? "ours" : "not ours");
}

TEST(AtomicFile, FolderThatGoesAway) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "folder");
  io::AtomicFile file(scratch / "folder/file");
  std::filesystem::remove_all(scratch / "folder");
  const Error error = error_of([&] { file.commit(); });
  expect_error(error, ErrorCode::io,
               "folder/file: expected to put it in place, got No such file or directory");
}

TEST(AtomicFile, NameWithoutFolder) {
  const Scratch scratch;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(scratch / "");
  io::AtomicFile file("name");
  file.commit();
  std::filesystem::current_path(before);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"name"});
}

TEST(InputFile, ReadsToTheEnd) {
  const Scratch scratch;
  put(scratch / "file", "0123456789");
  io::InputFile file(scratch / "file");
  EXPECT_EQ(file.size(), 10u);
  std::array<std::byte, 8> bytes;
  EXPECT_EQ(file.read(bytes), 8u);
  EXPECT_EQ(file.read(bytes), 2u);
  EXPECT_EQ(bytes[1], std::byte{'9'});
  EXPECT_EQ(file.read(bytes), 0u);
}

TEST(InputFile, ThatBecomesShorter) {
  const Scratch scratch;
  put(scratch / "file", "0123456789");
  io::InputFile file(scratch / "file");
  std::filesystem::resize_file(scratch / "file", 3);
  std::array<std::byte, 8> bytes;
  const Error error = error_of([&] { file.read_exactly(bytes); });
  expect_error(error, ErrorCode::io, "file: expected 8 bytes more, got 3: the file has become shorter");
}

TEST(Messages, OtherExceptionsBecomeErrors) {
  const auto thrown = [](auto exception) {
    return error_of([&] { io::as_errors("name", [&] { throw exception; }); });
  };
  expect_error(thrown(std::bad_alloc()), ErrorCode::out_of_memory, "name: expected memory");
  expect_error(thrown(std::length_error("vector")), ErrorCode::out_of_memory, "name: expected content");
  expect_error(thrown(std::runtime_error("reason")), ErrorCode::io,
               "name: expected to read or write it, got reason");
  expect_error(thrown(Error(ErrorCode::format, "as it is")), ErrorCode::format, "as it is");
  EXPECT_EQ(io::as_errors("name", [] { return 3; }), 3);
}

TEST(Messages, ArePrintable) {
  EXPECT_EQ(io::printable("a\n\x1b\xffz~"), "a???z~");
  EXPECT_EQ(io::in_quotes(std::string(130, 'x')), '"' + std::string(120, 'x') + "...\"");
}

}  // namespace
}  // namespace plasticity::io_test
