// AtomicFile, InputFile and messages, which all readers and writers use.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/str_cat.hpp"
#include "io/atomic_file.hpp"
#include "io/input_file.hpp"
#include "io/messages.hpp"
#include "io/wrong_files.hpp"

namespace plasticity::testing {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(AtomicFile, ReplacesTheFileAtCommit) {
  const TemporaryFolder folder;
  write_file(folder / "file", "old");
  {
    io::AtomicFile file(folder / "file");
    file.write(bytes_of("new "));
    EXPECT_EQ(read_file(folder / "file"), "old");
    file.write(bytes_of("text"));
    EXPECT_EQ(read_file(folder / "file"), "old");
    file.commit();
    EXPECT_EQ(read_file(folder / "file"), "new text");
  }
  EXPECT_EQ(read_file(folder / "file"), "new text");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const TemporaryFolder folder;
  write_file(folder / "file", "old");
  for (const char* name : {"file", "other"}) {
    io::AtomicFile file(folder / name);
    file.write(bytes_of("new"));
    EXPECT_EQ(folder.names().size(), 2u);
  }
  EXPECT_EQ(read_file(folder / "file"), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

TEST(AtomicFile, TwoWritersUseDifferentTemporaryFiles) {
  const TemporaryFolder folder;
  io::AtomicFile first(folder / "file"), second(folder / "file");
  first.write(bytes_of("first"));
  second.write(bytes_of("second"));
  second.commit();
  EXPECT_EQ(read_file(folder / "file"), "second");
  first.commit();
  EXPECT_EQ(read_file(folder / "file"), "first");
  EXPECT_EQ(folder.names().size(), 1u);
}

/// A process that writes half of `path` and waits until kill() kills it.
class Writer {
 public:
  explicit Writer(const std::filesystem::path& path) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
    process_ = ::fork();
    if (process_ == 0) {
      io::AtomicFile file(path);
      file.write(bytes_of("half"));
      if (::write(ends[1], "!", 1) == 1) ::pause();
      ::_exit(1);
    }
    char began = 0;
    EXPECT_EQ(::read(ends[0], &began, 1), 1);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Writer() { kill(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(std::exchange(process_, 0), nullptr, 0);
  }

 private:
  pid_t process_ = 0;
};

void save(const std::filesystem::path& path, const std::string& content) {
  io::AtomicFile file(path);
  file.write(bytes_of(content));
  file.commit();
}

TEST(AtomicFile, RemovesTheLeftoverOfAKilledWriter) {
  const TemporaryFolder folder;
  for (int round = 0; round < 3; ++round) {
    Writer(folder / "file").kill();
    EXPECT_EQ(folder.names(), std::vector<std::string>{".plasticity-0.tmp"});
  }
  save(folder / "other", "whole");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"other"});
  EXPECT_EQ(read_file(folder / "other"), "whole");
}

TEST(AtomicFile, KeepsTheTemporaryFileOfALivingWriter) {
  const TemporaryFolder folder;
  Writer writer(folder / "file");
  save(folder / "file", "whole");
  EXPECT_EQ(read_file(folder / "file"), "whole");
  EXPECT_EQ(read_file(folder / ".plasticity-0.tmp"), "half");
  writer.kill();
  save(folder / "file", "again");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

// A temporary name that is a link must not be written: that would change the linked file.
TEST(AtomicFile, KeepsLinksPipesAndFoldersWithATemporaryName) {
  const TemporaryFolder folder;
  write_file(folder / "precious", "precious");
  std::filesystem::create_symlink(folder / "precious", folder / ".plasticity-0.tmp");
  std::filesystem::create_hard_link(folder / "precious", folder / ".plasticity-1.tmp");
  ASSERT_EQ(::mkfifo((folder / ".plasticity-2.tmp").c_str(), 0600), 0);
  std::filesystem::create_directory(folder / ".plasticity-3.tmp");
  {
    const io::AtomicFile first(folder / "first"), second(folder / "second");
    EXPECT_TRUE(std::filesystem::exists(folder / ".plasticity-4.tmp"));
  }
  EXPECT_EQ(read_file(folder / "precious"), "precious");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / ".plasticity-0.tmp"));
  EXPECT_TRUE(std::filesystem::is_fifo(folder / ".plasticity-2.tmp"));
  EXPECT_TRUE(std::filesystem::is_directory(folder / ".plasticity-3.tmp"));
}

// A writer may remove a temporary file that another writer has created and not locked yet. The other one must
// then use another name.
TEST(AtomicFile, ConcurrentWriters) {
  const TemporaryFolder folder;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 50; ++round)
        save(folder / "file", std::string(1000, static_cast<char>('a' + thread)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
  const std::string content = read_file(folder / "file");
  EXPECT_EQ(content, std::string(1000, content.at(0)));
}

TEST(AtomicFile, TemporaryFileOfAPrivateFileIsPrivate) {
  const TemporaryFolder folder;
  write_file(folder / "file", "secret");
  namespace fs = std::filesystem;
  fs::permissions(folder / "file", fs::perms::owner_read | fs::perms::owner_write);
  const auto permissions = [&](const std::string& name) { return fs::status(folder / name).permissions(); };
  {
    io::AtomicFile file(folder / "file");
    EXPECT_EQ(permissions(".plasticity-0.tmp"), fs::perms::owner_read | fs::perms::owner_write);
    fs::permissions(folder / "file", fs::perms::all);  // too late
    file.commit();
  }
  EXPECT_EQ(permissions("file"), fs::perms::owner_read | fs::perms::owner_write);
  fs::permissions(folder / "file", fs::perms::all);
  save(folder / "file", "open");
  EXPECT_EQ(permissions("file"), fs::perms::all);
}

TEST(AtomicFile, RemovedFolderThrows) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "folder");
  io::AtomicFile file(folder / "folder/file");
  std::filesystem::remove_all(folder / "folder");
  const Error error = error_of([&] { file.commit(); });
  expect_error(error, ErrorCode::io,
               "folder/file: cannot rename the temporary file: No such file or directory");
}

TEST(AtomicFile, PathWithoutFolder) {
  const TemporaryFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder / "");
  io::AtomicFile file("name");
  file.commit();
  std::filesystem::current_path(before);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"name"});
}

TEST(InputFile, ReadsToTheEnd) {
  const TemporaryFolder folder;
  write_file(folder / "file", "0123456789");
  io::InputFile file(folder / "file");
  EXPECT_EQ(file.size(), 10u);
  std::array<std::byte, 8> bytes;
  EXPECT_EQ(file.read(bytes), 8u);
  EXPECT_EQ(file.read(bytes), 2u);
  EXPECT_EQ(bytes[1], std::byte{'9'});
  EXPECT_EQ(file.read(bytes), 0u);
}

TEST(InputFile, QuotesAnEmptyPath) {
  expect_error([] { io::InputFile file(""); }, ErrorCode::io, "\"\": cannot open it: ");
}

TEST(InputFile, FileThatBecomesShorterThrows) {
  const TemporaryFolder folder;
  write_file(folder / "file", "0123456789");
  io::InputFile file(folder / "file");
  std::filesystem::resize_file(folder / "file", 3);
  std::array<std::byte, 8> bytes;
  const Error error = error_of([&] { file.read_exactly(bytes); });
  expect_error(error, ErrorCode::io,
               "file: expected 8 more bytes, got 3: the file became shorter while it was read");
}

TEST(Messages, OtherExceptionsBecomeErrors) {
  const auto thrown = [](auto exception) {
    return error_of([&] { io::as_errors("name", [&] { throw exception; }); });
  };
  expect_error(thrown(std::bad_alloc()), ErrorCode::out_of_memory, "name: not enough memory for its content");
  expect_error(thrown(std::length_error("vector")), ErrorCode::out_of_memory,
               "name: not enough memory for its content");
  expect_error(thrown(std::runtime_error("reason")), ErrorCode::io, "name: cannot read or write it: reason");
  expect_error(thrown(Error(ErrorCode::format, "unchanged")), ErrorCode::format, "unchanged");
  EXPECT_EQ(io::as_errors("name", [] { return 3; }), 3);
}

TEST(Messages, PrintableAndQuotedText) {
  EXPECT_EQ(io::printable("a\n\x1b\xffz~"), "a???z~");
  EXPECT_EQ(io::in_quotes(std::string(130, 'x')), str_cat('"', std::string(120, 'x'), "...\""));
}

}  // namespace
}  // namespace plasticity::testing
