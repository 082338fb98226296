#include "storage/sinks/pg_connection.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "ops/runtime/parse_number.hpp"

namespace assay {
namespace {

using Steady = std::chrono::steady_clock;

std::string one_line(const char* text) {
  std::string out(text ? text : "");
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.back()))) out.pop_back();
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

}  // namespace

void PgArray::separate() {
  if (size_++ > 0) text_ += ',';
}

void PgArray::add_null() {
  separate();
  text_ += "NULL";
}

void PgArray::add(std::string_view value) {
  separate();
  text_ += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') text_ += '\\';
    text_ += c;
  }
  text_ += '"';
}

void PgRows::Clear::operator()(pg_result* result) const noexcept { PQclear(result); }
int PgRows::size() const { return PQntuples(result_.get()); }
bool PgRows::is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
std::string_view PgRows::text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}
PgValue PgRows::value(int row, int column) const {
  if (is_null(row, column)) return {};
  return std::string(text(row, column));
}
std::int64_t PgRows::number(int row, int column) const {
  return parse_number<std::int64_t>(text(row, column)).value_or(0);
}
std::int64_t PgRows::affected() const { return parse_number<std::int64_t>(PQcmdTuples(result_.get())).value_or(0); }

void PgConnection::Finish::operator()(pg_conn* connection) const noexcept { PQfinish(connection); }

PgConnection::PgConnection(std::string conninfo, std::string password, Limits limits)
    : conninfo_(std::move(conninfo)),
      password_(std::move(password)),
      limits_(limits),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

PgConnection::~PgConnection() {
  close();
  if (wake_ >= 0) ::close(wake_);
}

void PgConnection::stop() {
  stopped_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

void PgConnection::close() { connection_.reset(); }

PgError PgConnection::failed(std::string_view what) {
  PgError error{"", std::string(what)};
  if (connection_)
    if (auto said = one_line(PQerrorMessage(connection_.get())); !said.empty()) error.message += ": " + said;
  close();
  return error;
}

bool PgConnection::wait(short events, Steady::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now()).count();
    if (left <= 0 || stopped_) return false;
    pollfd fds[2] = {{PQsocket(connection_.get()), events, 0}, {wake_, POLLIN, 0}};
    const int n = ::poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
    if (n < 0 && errno != EINTR) return false;
    if (n > 0 && fds[0].revents) return true;
  }
}

PgResult<void> PgConnection::open() {
  if (connection_) return {};
  if (stopped_) return PgError{"", "stopped"};
  // What a connection that died silently must not do is hang; conninfo's own words win over the first four.
  const char* names[] = {
      "application_name", "keepalives_idle", "tcp_user_timeout", "client_encoding", "dbname", "password", nullptr};
  const char* values[] = {"assay", "30", "30000", "UTF8", conninfo_.c_str(), password_.c_str(), nullptr};
  if (password_.empty()) names[5] = nullptr;
  connection_.reset(PQconnectStartParams(names, values, 1));
  const auto until = Steady::now() + limits_.connect;
  if (!connection_ || PQstatus(connection_.get()) == CONNECTION_BAD) return failed("no connection");
  for (auto polling = PGRES_POLLING_WRITING; polling != PGRES_POLLING_OK;) {
    if (polling == PGRES_POLLING_FAILED) return failed("no connection");
    if (!wait(polling == PGRES_POLLING_READING ? POLLIN : POLLOUT, until)) return failed("no connection in time");
    polling = PQconnectPoll(connection_.get());
  }
  if (PQsetnonblocking(connection_.get(), 1) != 0) return failed("no connection");
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
  return {};
}

PgResult<PgRows> PgConnection::exec(const std::string& sql, std::span<const PgValue> values) {
  if (const auto opened = open(); !opened) return opened.error();
  std::vector<const char*> texts;
  for (const auto& value : values) texts.push_back(value ? value->c_str() : nullptr);
  auto* const connection = connection_.get();
  if (!PQsendQueryParams(connection, sql.c_str(), static_cast<int>(texts.size()), nullptr, texts.data(), nullptr,
                         nullptr, 0))
    return failed("the statement was not sent");
  const auto until = Steady::now() + limits_.statement;
  for (int left = PQflush(connection); left != 0; left = PQflush(connection)) {
    if (left < 0 || !wait(POLLIN | POLLOUT, until)) return failed("the statement was not sent");
    if (!PQconsumeInput(connection)) return failed("the connection broke");
  }
  std::optional<PgRows> rows;
  std::optional<PgError> error;
  for (;;) {
    while (PQisBusy(connection)) {
      if (!wait(POLLIN, until)) return failed(stopped_ ? "stopped" : "no answer in time");
      if (!PQconsumeInput(connection)) return failed("the connection broke");
    }
    auto* const result = PQgetResult(connection);
    if (!result) break;
    PgRows one(result);
    const auto status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
      rows.emplace(std::move(one));
      continue;
    }
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    error = PgError{state ? state : "", one_line(message ? message : PQresultErrorMessage(result))};
  }
  if (error && PQstatus(connection) == CONNECTION_BAD) error->sqlstate.clear();
  if (error && error->sqlstate.empty()) close();
  if (error) return std::move(*error);
  if (!rows) return failed("no answer");
  return std::move(*rows);
}

std::optional<std::string> problem_with_conninfo(const std::string& conninfo) {
  if (!conninfo.starts_with("postgresql://") && !conninfo.starts_with("postgres://"))
    return "it is not a postgresql:// URL";
  char* words = nullptr;
  auto* const options = PQconninfoParse(conninfo.c_str(), &words);
  std::string said = one_line(words);
  if (words) PQfreemem(words);
  if (!options)  // what it quotes may hold a password
    return said.substr(0, said.find(": \"")).substr(0, said.find(" \""));
  bool password = false, of_key = false, no_port = false;
  for (auto* option = options; option->keyword; ++option) {
    const std::string_view keyword = option->keyword;
    password |= keyword == "password" && option->val;
    of_key |= keyword == "sslpassword" && option->val;
    no_port |= keyword == "port" && option->val &&
               std::string_view(option->val).find_first_not_of("0123456789,") != std::string_view::npos;
  }
  PQconninfoFree(options);
  // As where a password has a slash, which ends the port that it is taken for then.
  if (no_port) return "its port is no number (a password has no place in it: ASSAY_MLFLOW_DB_PASSWORD takes it)";
  if (password) return "a password does not belong into a URL: ASSAY_MLFLOW_DB_PASSWORD takes it";
  if (of_key) return "sslpassword does not belong into a URL: a service file (PGSERVICEFILE) takes it";
  return {};
}

}  // namespace assay
