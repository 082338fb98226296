#pragma once
// One connection to a PostgreSQL, by libpq, whose every wait has an end and can be stopped. Blocks; one thread, but for
// stop().
#include <atomic>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/result.hpp"

struct pg_conn;
struct pg_result;

namespace assay {

struct PgError {
  std::string sqlstate;  // empty: no answer of the server's: away, slow or stopped
  std::string message;   // one line
  // The statement met data or a rule that will not change by trying again.
  bool final() const { return sqlstate.starts_with("22") || sqlstate.starts_with("23"); }
};
template <class T>
using PgResult = Result<T, PgError>;

using PgValue = std::optional<std::string>;  // none: NULL

// A list of values as one parameter: $1::text[]. Bytes must be UTF-8 without NUL.
class PgArray {
 public:
  void add(std::string_view value);
  void add_null();
  void add(const std::string& value) { add(std::string_view(value)); }
  void add(const PgValue& value) {
    if (value)
      add(std::string_view(*value));
    else
      add_null();
  }
  void add(std::int64_t value) { add(std::string_view(std::to_string(value))); }
  void add(bool value) { add(std::string_view(value ? "t" : "f")); }
  std::size_t size() const { return size_; }
  std::string text() const { return text_ + "}"; }

 private:
  void separate();
  std::string text_ = "{";
  std::size_t size_ = 0;
};

class PgRows {
 public:
  explicit PgRows(pg_result* result) : result_(result) {}
  int size() const;
  bool is_null(int row, int column) const;
  std::string_view text(int row, int column) const;  // "" for NULL
  PgValue value(int row, int column) const;
  std::int64_t number(int row, int column) const;
  bool truth(int row, int column) const { return text(row, column) == "t"; }
  std::int64_t affected() const;

 private:
  struct Clear {
    void operator()(pg_result* result) const noexcept;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

class PgConnection {
 public:
  struct Limits {
    std::chrono::milliseconds connect{10'000}, statement{60'000};
  };
  // `conninfo`: a postgresql:// URL or keywords, as libpq takes them. `password`: where not empty, instead of its own.
  PgConnection(std::string conninfo, std::string password, Limits limits);
  PgConnection(std::string conninfo, std::string password) : PgConnection(conninfo, password, Limits()) {}
  ~PgConnection();

  bool is_open() const { return connection_ != nullptr; }
  PgResult<void> open();
  void close();
  // One statement, parameters $1…; text in, text out. On an error that is none of the server's it closes.
  PgResult<PgRows> exec(const std::string& sql, std::span<const PgValue> values = {});
  PgResult<PgRows> exec(const std::string& sql, std::initializer_list<PgValue> values) {
    return exec(sql, std::span(values.begin(), values.size()));
  }
  // Thread-safe: ends what waits, soon, and everything after it. For good.
  void stop();
  bool stopped() const { return stopped_; }

 private:
  struct Finish {
    void operator()(pg_conn* connection) const noexcept;
  };
  PgError failed(std::string_view what);
  bool wait(short events, std::chrono::steady_clock::time_point until);

  const std::string conninfo_, password_;
  const Limits limits_;
  std::unique_ptr<pg_conn, Finish> connection_;
  std::atomic<bool> stopped_{false};
  int wake_ = -1;  // an eventfd
};

// What is wrong with it, in a sentence: not libpq's, or it holds a password.
std::optional<std::string> problem_with_conninfo(const std::string& conninfo);

}  // namespace assay
