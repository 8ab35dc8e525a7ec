#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>

#include "plasticity/error.hpp"
#include "plasticity/version.hpp"
#include "tool/cli/commands.hpp"
#include "tool/cli/nearest.hpp"

namespace {

int run(int argc, char** argv) {
  CLI::App app{"Differentiable plastic networks: train, verify and time them", "plasticity"};
  app.set_version_flag("--version", plasticity::version());
  app.require_subcommand(1);
  int exit_code = 0;
  try {
    plasticity::cli::add_info(app, exit_code);
    plasticity::cli::add_verify(app, exit_code);
    plasticity::cli::add_time(app, exit_code);
    plasticity::cli::add_train(app, exit_code);
    plasticity::cli::add_tune(app, exit_code);
    plasticity::cli::refuse_options_as_values(app);
    if (const std::string unknown = plasticity::cli::unknown_command(app, argc, argv); !unknown.empty()) {
      std::fprintf(stderr, "plasticity: %s\n", unknown.c_str());
      return 2;
    }
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const plasticity::Error& error) {
    std::fprintf(stderr, "plasticity: %s\n", error.what());
    return error.code() == plasticity::ErrorCode::io || error.code() == plasticity::ErrorCode::format ? 1 : 2;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "plasticity: out of memory\n");
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plasticity: %s\n", error.what());
    return 1;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the shell's limit is then an error of that file
  const int exit_code = run(argc, argv);
  // The output is complete only when it has reached the file, the pipe or the terminal.
  errno = 0;
  const bool written = std::cout.flush().good();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && written) return exit_code;
  std::fprintf(stderr, "plasticity: cannot write the output: %s\n",
               errno == 0 ? "an earlier write failed" : std::strerror(errno));
  return exit_code == 0 ? 1 : exit_code;
}
