#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/core/io/input_file.hpp>
#include <tapestry/core/io/npy.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>

namespace tapestry {
namespace {

static_assert(std::endian::native == std::endian::little, "the files hold little-endian elements");

constexpr std::string_view kMagic = "\x93NUMPY";

struct DTypeName {
  std::string_view descr;
  DType dtype;
};
constexpr std::array<DTypeName, 6> kDTypes = {{{"<f4", DType::f32},
                                               {"<f8", DType::f64},
                                               {"<i4", DType::i32},
                                               {"<i8", DType::i64},
                                               {"|u1", DType::u8},
                                               {"|b1", DType::boolean}}};

struct Header {
  std::optional<DType> dtype;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;
};

/// Reads the dict literal that NumPy writes: string keys; values a string, True, False or a tuple of
/// integers.
class HeaderParser {
 public:
  HeaderParser(const std::filesystem::path& path, std::string_view characters, std::size_t file_position)
      : path_(path), all_(characters), file_position_(file_position) {}

  Header parse() {
    Header header;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        header.dtype = dtype();
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
      } else if (key == "shape") {
        header.shape = shape();
      } else {
        bad("has the unknown key '", key, "'");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (skip_spaces(); at_ != all_.size()) bad("has more after its dict");
    if (!header.dtype || !header.fortran_order || !header.shape) bad("lacks descr, fortran_order or shape");
    return header;
  }

 private:
  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    throw IoError(text("can't load ", path_.string(), ": its npy header, at byte ", file_position_ + at_,
                       ", ", printable(text(parts...))));
  }

  void skip_spaces() {
    while (at_ < all_.size() && (all_[at_] == ' ' || all_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_spaces();
    const bool there = at_ < all_.size() && all_[at_] == c;
    at_ += there;
    return there;
  }
  void expect(char c) {
    if (!accept(c)) bad("should have '", c, "'");
  }
  bool accept_word(std::string_view word) {
    skip_spaces();
    const bool there = all_.substr(at_).starts_with(word);
    if (there) at_ += word.size();
    return there;
  }

  std::string_view string() {
    const char quote = accept('"') ? '"' : '\'';
    if (quote == '\'') expect(quote);
    const std::size_t end = all_.find(quote, at_);
    if (end == all_.npos) bad("has a string without an end");
    const std::string_view value = all_.substr(at_, end - at_);
    at_ = end + 1;
    return value;
  }

  bool boolean() {
    if (accept_word("True")) return true;
    if (!accept_word("False")) bad("should have True or False");
    return false;
  }

  DType dtype() {
    if (accept('[')) bad("describes records with fields, which a tensor can't hold");
    const std::string_view descr = string();
    const auto found = std::ranges::find(kDTypes, descr, &DTypeName::descr);
    if (found != kDTypes.end()) return found->dtype;
    if (descr.starts_with('>'))
      bad("has big-endian elements, '", descr, "'; only little-endian ones are known");
    bad("has the dtype '", descr, "'; only f32, f64, i32, i64, u8 and bool are known");
  }

  Shape shape() {
    Shape extents;
    expect('(');
    while (!accept(')')) {
      skip_spaces();
      std::int64_t extent = -1;
      const auto [end, error] = std::from_chars(all_.data() + at_, all_.data() + all_.size(), extent);
      if (error != std::errc() || extent < 0) bad("should have an extent of at least 0");
      at_ = std::size_t(end - all_.data());
      if (extents.rank() == kMaxRank) bad("gives the array more than ", kMaxRank, " axes");
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }

  const std::filesystem::path& path_;
  std::string_view all_;
  std::size_t file_position_;
  std::size_t at_ = 0;
};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(path) {}

  Tensor read() {
    const std::string characters = header();
    const Header parsed = HeaderParser(file_.path(), characters, data_begin_ - characters.size()).parse();
    if (*parsed.fortran_order) {
      bad("it is in Fortran (column-major) order; save numpy.ascontiguousarray(array) instead");
    }
    const Type type{*parsed.dtype, *parsed.shape};
    check_size(type);
    Tensor tensor(type);
    const std::span bytes(static_cast<std::byte*>(tensor.mutable_data()), tensor.bytes());
    file_.read(data_begin_, bytes);
    if (type.dtype == DType::boolean) {
      const auto wrong = std::ranges::find_if(bytes, [](std::byte b) { return b > std::byte{1}; });
      if (wrong != bytes.end()) {
        bad("it has a bool that is neither 0 nor 1 at byte ",
            data_begin_ + std::size_t(wrong - bytes.begin()));
      }
    }
    return tensor;
  }

 private:
  template <class... Parts>
  [[noreturn]] void bad(const Parts&... parts) const {
    throw IoError(text("can't load ", file_.path().string(), ": ", parts...));
  }

  /// Its characters; the data begins behind them.
  std::string header() {
    std::array<unsigned char, 12> start{};
    const std::size_t available = std::size_t(std::min<std::uint64_t>(file_.size(), start.size()));
    file_.read(0, std::as_writable_bytes(std::span(start).first(available)));
    if (available < 10 ||
        !std::equal(kMagic.begin(), kMagic.end(), reinterpret_cast<const char*>(start.data()))) {
      bad("not an npy file: it doesn't begin with \\x93NUMPY and a version");
    }
    const int version = start[6];
    if (version != 1 && version != 2) bad("npy version ", version, " at byte 6; only 1 and 2 are known");
    if (version == 2 && available < 12) bad("cut short within its first 12 bytes");
    std::uint64_t length = start[8] | unsigned{start[9]} << 8;
    if (version == 2) length |= std::uint64_t{start[10]} << 16 | std::uint64_t{start[11]} << 24;
    const std::uint64_t begin = version == 1 ? 10 : 12;
    if (length > file_.size() - begin) {
      bad("cut short: the header ends at byte ", begin + length, ", the file at byte ", file_.size());
    }
    std::string characters(length, '\0');
    file_.read(begin, std::as_writable_bytes(std::span(characters)));
    data_begin_ = begin + length;
    return characters;
  }

  void check_size(const Type& type) const {
    std::uint64_t elements = 0, bytes = 0;
    try {
      elements = std::uint64_t(type.shape.elements());
    } catch (const Error& e) {
      bad(e.what());
    }
    const std::uint64_t held = file_.size() - data_begin_;
    if (__builtin_mul_overflow(elements, size_of(type.dtype), &bytes) || bytes != held) {
      bad("its header says ", type, ", but ", held, " bytes of data follow from byte ", data_begin_, " on");
    }
  }

  InputFile file_;
  std::uint64_t data_begin_ = 0;
};

}  // namespace

Tensor load_npy(const std::filesystem::path& path) { return Reader(path).read(); }

void save_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const auto found = std::ranges::find(kDTypes, tensor.dtype(), &DTypeName::dtype);
  require(found != kDTypes.end(), "can't save ", path.string(), ": npy has no ", name_of(tensor.dtype()));
  std::string header = text("{'descr': '", found->descr, "', 'fortran_order': False, 'shape': (");
  for (const std::int64_t extent : tensor.shape()) header += text(extent, ", ");
  header += "), }";
  // NumPy wants the data to begin at a multiple of 64 and a line break before it.
  constexpr std::size_t kBeforeHeader = 10;
  header.resize((kBeforeHeader + header.size() + 1 + 63) / 64 * 64 - kBeforeHeader - 1, ' ');
  header += '\n';

  AtomicFile file(path);
  file.write(kMagic);
  const std::array<unsigned char, 4> version_and_length = {
      1, 0, static_cast<unsigned char>(header.size() & 0xff), static_cast<unsigned char>(header.size() >> 8)};
  file.write(std::as_bytes(std::span(version_and_length)));
  file.write(header);
  file.write(std::span(static_cast<const std::byte*>(tensor.data()), tensor.bytes()));
  file.commit();
}

}  // namespace tapestry
