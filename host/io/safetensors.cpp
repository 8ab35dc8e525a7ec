#include "plasticity/io/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "io/atomic_file.hpp"
#include "io/input_file.hpp"
#include "io/messages.hpp"
#include "io/safetensors_header.hpp"

namespace plasticity::io {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and are read without conversion");

constexpr std::uint64_t data_alignment = 64;  // alignment of the data's offset in files that save() writes

Header read_header(InputFile& in) {
  std::uint64_t size = 0;
  if (in.size() < sizeof size) {
    throw_error(ErrorCode::format, in.name(), "a safetensors file of at least 8 bytes",
                str_cat(in.size(), " bytes"));
  }
  in.read_exactly(std::as_writable_bytes(std::span(&size, 1)));
  if (size > header_limit) {
    throw_error(ErrorCode::format, in.name(), str_cat("a header of at most ", header_limit, " bytes"),
                str_cat(size));
  }
  if (size > in.size() - sizeof size) {
    throw_error(ErrorCode::format, in.name(),
                str_cat("a header within the ", in.size(), " bytes of the file"),
                str_cat("a length of ", size));
  }
  std::string json(static_cast<std::size_t>(size), '\0');
  in.read_exactly(std::as_writable_bytes(std::span(json)));
  Header header = parse_header(json, in.name());
  check_layout(header.entries, in.size() - sizeof size - size, in.name());
  return header;
}

/// Returns the header of a new file: the tensors in file order, with their offsets.
Header layout(const TensorFile& file, const std::string& name) {
  Header header;
  header.metadata = file.metadata;
  for (const auto& [tensor_name, tensor] : file.tensors) {
    const std::string what = tensor_in(name, tensor_name);
    if (element_bytes(tensor.dtype) == 0)
      bad_argument(what, "a DType", str_cat(static_cast<int>(tensor.dtype)));
    const std::int64_t bytes = tensor_bytes(tensor.dtype, tensor.shape);
    if (bytes < 0)
      bad_argument(what, "a shape without negative sizes and below 2^63 bytes", shape_text(tensor.shape));
    if (static_cast<std::uint64_t>(bytes) != tensor.data.size()) {
      bad_argument(what, str_cat("the ", bytes, " bytes of its shape and dtype"),
                   str_cat(tensor.data.size()));
    }
    header.entries.push_back({tensor_name, tensor.dtype, tensor.shape, 0, tensor.data.size()});
  }
  // The sort is stable, so tensors of one element size stay in the order of their names.
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const Entry& a, const Entry& b) {
    return element_bytes(a.dtype) > element_bytes(b.dtype);
  });
  std::uint64_t offset = 0;
  for (Entry& entry : header.entries) {
    entry.begin += offset;
    entry.end += offset;
    offset = entry.end;
  }
  return header;
}

}  // namespace

TensorFile load(const std::filesystem::path& path) {
  return as_errors(path.string(), [&] {
    InputFile in(path);
    Header header = read_header(in);
    TensorFile file;
    file.source = in.name();
    file.metadata = std::move(header.metadata);
    for (Entry& entry : header.entries) {  // in the order of their data
      Tensor tensor{entry.dtype, std::move(entry.shape), {}};
      tensor.data.resize(static_cast<std::size_t>(entry.end - entry.begin));
      in.read_exactly(tensor.data);
      file.tensors.emplace(std::move(entry.name), std::move(tensor));
    }
    return file;
  });
}

void save(const std::filesystem::path& path, const TensorFile& file) {
  as_errors(path.string(), [&] {
    const Header header = layout(file, path.string());
    std::string json = header_text(header, path.string());
    std::uint64_t size = json.size() + sizeof size;
    size += (data_alignment - size % data_alignment) % data_alignment - sizeof size;
    if (size > header_limit) {
      bad_argument(path.string(), str_cat("names and metadata of at most ", header_limit, " bytes"),
                   str_cat(size));
    }
    json.resize(static_cast<std::size_t>(size), ' ');

    AtomicFile out(path);
    out.write(std::as_bytes(std::span(&size, 1)));
    out.write(std::as_bytes(std::span(json)));
    for (const Entry& entry : header.entries) out.write(file.tensors.at(entry.name).data);
    out.commit();
  });
}

const Tensor& TensorFile::at(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found != tensors.end()) return found->second;
  constexpr std::size_t max_names = 50;
  std::string names;
  std::size_t listed = 0;
  for (const auto& [existing, tensor] : tensors) {
    if (listed++ == max_names) break;
    names += (names.empty() ? "" : ", ") + printable(existing);
  }
  if (tensors.size() > max_names) names += str_cat(" and ", tensors.size() - max_names, " more");
  throw Error(ErrorCode::format, (source.empty() ? "tensor " + in_quotes(name) : tensor_in(source, name)) +
                                     ": not found; the file has " + (names.empty() ? "no tensors" : names));
}

}  // namespace plasticity::io
