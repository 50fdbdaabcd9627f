#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/core/io/input_file.hpp>
#include <tapestry/core/io/safetensors.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

namespace tapestry {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors holds little-endian elements");

using Json = nlohmann::ordered_json;

constexpr const char* kMetadata = "__metadata__";
constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

// In the order of DType.
constexpr std::array<std::string_view, 7> kDTypeNames = {"F32", "F64", "BF16", "I32", "I64", "U8", "BOOL"};

std::optional<DType> dtype_named(std::string_view name) {
  const auto found = std::ranges::find(kDTypeNames, name);
  if (found == kDTypeNames.end()) return std::nullopt;
  return DType(found - kDTypeNames.begin());
}

/// One tensor's place in the file, offsets counted from the end of the header.
struct Entry {
  std::string name;
  Type type;
  std::uint64_t begin = 0, end = 0;
};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(path) {}

  SafetensorsFile read() {
    const Json header = parse_header();
    SafetensorsFile out;
    std::vector<Entry> entries;
    for (const auto& [key, value] : header.items()) {
      if (key == kMetadata) {
        out.metadata = metadata_from(value);
      } else {
        entries.push_back(entry_from(key, value));
      }
    }
    check_layout(entries);
    for (const Entry& entry : entries) out.tensors.push_back({entry.name, tensor_from(entry)});
    return out;
  }

 private:
  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    throw IoError(text("can't load ", file_.path().string(), ": ", parts...));
  }

  Json parse_header() {
    if (file_.size() < kLengthBytes) {
      bad("it has ", file_.size(), " bytes, but a safetensors file begins with 8 bytes of header length");
    }
    std::uint64_t length = 0;
    file_.read(0, std::as_writable_bytes(std::span(&length, 1)));
    if (length > kMaxHeaderBytes) {
      bad("not a safetensors file: bytes 0 to 7 give a header length of ", length, ", more than ",
          kMaxHeaderBytes);
    }
    if (length > file_.size() - kLengthBytes) {
      bad("cut short: the header ends at byte ", kLengthBytes + length, ", the file at byte ", file_.size());
    }
    std::string characters(length, '\0');
    file_.read(kLengthBytes, std::as_writable_bytes(std::span(characters)));
    data_begin_ = kLengthBytes + length;
    if (!characters.starts_with('{')) bad("not a safetensors file: byte 8 is not the '{' of its header");

    // The parser keeps the last of two equal keys; we want to know.
    std::vector<std::set<std::string>> open_objects;
    const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
      if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
      if (event == Json::parse_event_t::object_end) open_objects.pop_back();
      if (event == Json::parse_event_t::key) {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!open_objects.back().insert(key).second) bad("its header has the name '", key, "' twice");
      }
      return true;
    };
    try {
      return Json::parse(characters, watch);
    } catch (const Json::parse_error& e) {
      bad("its header is not JSON: error at byte ", kLengthBytes + std::max<std::size_t>(e.byte, 1) - 1);
    }
  }

  std::map<std::string, std::string> metadata_from(const Json& value) const {
    std::map<std::string, std::string> metadata;
    if (!value.is_object()) bad("its ", kMetadata, " is not a JSON object");
    for (const auto& [key, item] : value.items()) {
      if (!item.is_string()) bad("the metadata '", key, "' is not a string");
      metadata[key] = item.get<std::string>();
    }
    return metadata;
  }

  Entry entry_from(const std::string& name, const Json& value) const {
    if (!value.is_object()) bad("tensor '", name, "' is not described by a JSON object");
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      if (!value.contains(key)) bad("tensor '", name, "' has no ", key);
    }
    Entry entry{name, {dtype_from(name, value["dtype"]), shape_from(name, value["shape"])}, 0, 0};
    const Json& offsets = value["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      bad("the data_offsets of tensor '", name, "' are not two byte counts");
    }
    entry.begin = offsets[0].get<std::uint64_t>();
    entry.end = offsets[1].get<std::uint64_t>();
    check_bytes(entry);
    return entry;
  }

  DType dtype_from(const std::string& name, const Json& value) const {
    if (!value.is_string()) bad("the dtype of tensor '", name, "' is not a string");
    const auto& dtype_name = value.get_ref<const std::string&>();
    const auto dtype = dtype_named(dtype_name);
    if (!dtype) {
      bad("tensor '", name, "' has the dtype ", dtype_name,
          "; only F32, F64, BF16, I32, I64, U8 and BOOL are known");
    }
    return *dtype;
  }

  Shape shape_from(const std::string& name, const Json& value) const {
    if (!value.is_array()) bad("the shape of tensor '", name, "' is not an array");
    if (value.size() > std::size_t(kMaxRank)) {
      bad("tensor '", name, "' has ", value.size(), " axes, more than ", kMaxRank);
    }
    Shape shape;
    for (const Json& extent : value) {
      if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > (std::uint64_t{1} << 62)) {
        bad("the shape of tensor '", name, "' has the extent ", extent.dump());
      }
      shape.push_back(extent.get<std::int64_t>());
    }
    return shape;
  }

  void check_bytes(const Entry& entry) const {
    std::uint64_t elements = 0, bytes = 0;
    try {
      elements = std::uint64_t(entry.type.shape.elements());
    } catch (const Error& e) {
      bad("tensor '", entry.name, "': ", e.what());
    }
    if (entry.begin > entry.end || __builtin_mul_overflow(elements, size_of(entry.type.dtype), &bytes) ||
        bytes != entry.end - entry.begin) {
      bad("tensor '", entry.name, "' is ", entry.type, " but has the data_offsets ", entry.begin, " to ",
          entry.end);
    }
  }

  /// The tensors' bytes must follow each other without holes and end with the file.
  void check_layout(const std::vector<Entry>& entries) const {
    std::vector<const Entry*> sorted;
    for (const Entry& entry : entries) sorted.push_back(&entry);
    std::ranges::stable_sort(sorted, {}, [](const Entry* e) { return std::pair(e->begin, e->end); });
    std::uint64_t position = 0;
    for (const Entry* entry : sorted) {
      if (entry->begin != position) {
        bad("the data of tensor '", entry->name, "' begins at byte ", at(entry->begin),
            entry->begin < position ? ", inside" : ", with a hole after",
            " the data before it, which ends at byte ", at(position));
      }
      position = entry->end;
    }
    const std::uint64_t data_bytes = file_.size() - data_begin_;
    if (position > data_bytes) {
      bad("cut short: the data ends at byte ", at(position), ", the file at byte ", file_.size());
    }
    if (position < data_bytes) {
      bad(data_bytes - position, " bytes follow the data's end at byte ", at(position));
    }
  }

  Tensor tensor_from(const Entry& entry) const {
    Tensor tensor(entry.type);
    const std::span bytes(static_cast<std::byte*>(tensor.mutable_data()), tensor.bytes());
    file_.read(data_begin_ + entry.begin, bytes);
    if (entry.type.dtype == DType::boolean) {
      const auto wrong = std::ranges::find_if(bytes, [](std::byte b) { return b > std::byte{1}; });
      if (wrong != bytes.end()) {
        bad("tensor '", entry.name, "' has a bool that is neither 0 nor 1 at byte ",
            at(entry.begin + std::uint64_t(wrong - bytes.begin())));
      }
    }
    return tensor;
  }

  /// A position in the file, for messages. May wrap around for absurd offsets; they are only shown.
  std::uint64_t at(std::uint64_t offset) const { return data_begin_ + offset; }

  InputFile file_;
  std::uint64_t data_begin_ = 0;
};

std::string header_for(std::span<const NamedTensor> tensors, std::span<const std::size_t> data_order,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<std::uint64_t> begins(tensors.size());
  std::uint64_t position = 0;
  for (const std::size_t i : data_order) {
    begins[i] = position;
    position += tensors[i].tensor.bytes();
  }
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    header[name] = {{"dtype", kDTypeNames[std::size_t(tensor.dtype())]},
                    {"shape", std::vector<std::int64_t>(tensor.shape().begin(), tensor.shape().end())},
                    {"data_offsets", {begins[i], begins[i] + tensor.bytes()}}};
  }
  std::string characters = header.dump();
  characters.resize((characters.size() + 7) / 8 * 8, ' ');
  return characters;
}

void check_names(const std::filesystem::path& path, std::span<const NamedTensor> tensors) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : tensors) {
    require(name != kMetadata, "can't save ", path.string(), ": no tensor may be named '", name,
            "', for the format has another use for that");
    require(names.insert(name).second, "can't save ", path.string(), ": two tensors are named '", name, "'");
  }
}

}  // namespace

const Tensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &NamedTensor::name);
  return found == tensors.end() ? nullptr : &found->tensor;
}

SafetensorsFile load_safetensors(const std::filesystem::path& path) { return Reader(path).read(); }

void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  check_names(path, tensors);
  // The widest elements first, so that each tensor is aligned for whoever maps the file.
  std::vector<std::size_t> order(tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater{},
                           [&](std::size_t i) { return size_of(tensors[i].tensor.dtype()); });

  std::string header;
  try {
    header = header_for(tensors, order, metadata);
  } catch (const Json::type_error&) {
    fail("can't save ", path.string(), ": a name or metadata text is not UTF-8");
  }
  AtomicFile file(path);
  const std::uint64_t length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const std::size_t i : order) {
    const Tensor& tensor = tensors[i].tensor;
    file.write(std::span(static_cast<const std::byte*>(tensor.data()), tensor.bytes()));
  }
  file.commit();
}

}  // namespace tapestry
