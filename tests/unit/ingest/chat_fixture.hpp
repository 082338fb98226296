#pragma once
// The chat doors over a log, a model and a client of the test's own. All four write into one list what they saw, so
// that order can be asserted.
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <limits>

#include "ingest/chat/chat_route.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/support/hand_clock.hpp"

namespace assay::chat_test {

using namespace std::chrono_literals;
namespace json = boost::json;

using Seen = std::vector<std::string>;

// Durable after another turn of the loop, so that what doesn't wait for it is caught.
class ListedLog final : public EventLog {
 public:
  explicit ListedLog(Seen& seen) : seen_(seen) {}
  Task<Result<Appended>> append(Record record) override {
    std::vector<Record> one;
    one.push_back(std::move(record));
    auto results = co_await append_all(std::move(one));
    co_return results.front();
  }
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override {
    co_await asio::post(co_await asio::this_coro::executor, use_task);
    co_await asio::post(co_await asio::this_coro::executor, use_task);
    if (throws) throw std::bad_alloc();
    std::vector<Result<Appended>> out;
    for (const auto& record : records) {
      if (!record.value || record.value->size() <= record_bytes_max) continue;
      const auto too_long = boost::system::errc::make_error_code(boost::system::errc::message_size);
      co_return std::vector<Result<Appended>>(records.size(), Result<Appended>(too_long));
    }
    for (auto& record : records) {
      if (failing) {
        out.push_back(*failing);
        continue;
      }
      if (record.stream == Stream::traces) {
        const auto trace = parse_trace_record(*record.value);
        const auto info = json::parse(trace->info);
        seen_.push_back("log " + std::string(info.at("state").as_string()));
        last_info = info.as_object();
        if (first_info.empty()) first_info = last_info;
        if (!trace->spans.empty()) last_span = json::parse(trace->spans).as_array()[0].as_object();
      } else {
        seen_.push_back("log id");
        ids[record.key] = *record.value;
      }
      out.push_back(Appended{});
    }
    co_return out;
  }
  bool keeps_state() const override { return database; }
  Task<std::vector<Result<Appended>>> append_with(std::vector<Record> records, Changes state) override {
    auto results = co_await append_all(std::move(records));
    if (!failing && !state.empty()) {
      EXPECT_TRUE(database && database->write(state));
    }
    co_return results;
  }
  std::string_view durability() const override { return "memory"; }
  Result<void> writable() const override { return hangs ? Result<void>(Error::log_unavailable) : Result<void>(); }
  Partition partitions(Stream) const override { return 1; }

  KeyValue* database = nullptr;  // that it is kept in, where what else is there can be written with it
  std::optional<Error> failing;
  bool hangs = false, throws = false;
  std::size_t record_bytes_max = std::numeric_limits<std::size_t>::max();
  std::map<std::string, std::string> ids;
  json::object first_info, last_info, last_span;

 private:
  Seen& seen_;
};

// Tokens as scripted; "!reason" fails, "..." never comes.
class ScriptedModel final : public ChatBackend {
 public:
  ScriptedModel(Seen& seen, std::vector<std::string> script) : seen_(seen), script_(std::move(script)) {}
  std::optional<std::size_t> tokens = {};  // that it says it has answered
  Task<Result<Models, ChatFailure>> models(std::string) override { co_return ChatFailure{"none"}; }
  Task<Started> start(ChatQuestion question) override {
    seen_.push_back("ask " + question.messages.back().content);
    std::unique_ptr<ChatAnswer> answer = std::make_unique<Answer>(*this);
    co_return std::move(answer);
  }

 private:
  struct Answer final : ChatAnswer {
    explicit Answer(ScriptedModel& m) : model(m) {}
    ~Answer() override {
      if (!complete) model.seen_.push_back("model aborted");
    }
    Task<Next> next() override {
      if (at == model.script_.size()) {
        complete = true;
        co_return std::optional<ChatPiece>();
      }
      const auto& token = model.script_[at++];
      if (token == "...") {
        asio::steady_timer never(co_await asio::this_coro::executor, 1h);
        co_await never.async_wait(as_result);
        co_return ChatFailure{"woken"};
      }
      if (token.starts_with('!')) {
        complete = true;
        co_return ChatFailure{token.substr(1)};
      }
      model.seen_.push_back("pull " + token);
      ChatPiece piece{.content = token};
      co_return std::optional<ChatPiece>(std::move(piece));
    }
    std::optional<std::size_t> tokens() const override { return model.tokens; }
    ScriptedModel& model;
    std::size_t at = 0;
    bool complete = false;
  };
  Seen& seen_;
  std::vector<std::string> script_;
};

class ListedStream : public ResponseStream {
 public:
  explicit ListedStream(Seen& seen) : seen_(seen) {}
  Task<Result<void>> respond(Response r) override {
    seen_.push_back("respond " + std::to_string(r.status));
    response = std::move(r);
    co_return Result<void>();
  }
  Task<Result<void>> begin(unsigned status, std::string_view type, Headers given) override {
    seen_.push_back("begin " + std::to_string(status) + " " + std::string(type));
    headers.assign(given.begin(), given.end());
    co_return Result<void>();
  }
  Task<Result<void>> write(std::string_view bytes) override {
    if (writes_left == 0) co_return boost::asio::error::broken_pipe;
    --writes_left;
    std::string said;
    for (auto at = bytes.find("data: "); at != bytes.npos; at = bytes.find("data: ", at + 1)) {
      if (bytes.substr(at + 6).starts_with("[DONE]")) continue;  // OpenAI's, which is no JSON
      events.push_back(json::parse(bytes.substr(at + 6, bytes.find('\n', at) - at - 6)).as_object());
      const auto id = bytes.rfind("id: ", at);
      ids.push_back(id == bytes.npos ? -1 : std::stoi(std::string(bytes.substr(id + 4))));
      if (!said.empty()) said += " ";
      said += events.back().at("type").as_string();
    }
    seen_.push_back("write " + (said.empty() ? "comment" : said));
    co_return Result<void>();
  }
  Task<Result<void>> end() override {
    seen_.push_back("end");
    co_return Result<void>();
  }
  void expect_reader(std::chrono::milliseconds) override {}
  std::unique_ptr<TakenConnection> take_over() override { return nullptr; }
  bool gone() override { return client_gone; }

  Response response;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<json::object> events;
  std::vector<int> ids;
  int writes_left = 1000;
  bool client_gone = false;

 private:
  Seen& seen_;
};

struct ChatFixture : testing::Test {
  explicit ChatFixture(bool journal_in_log = false)
      : journal(disk, ChatJournal::entries_max_default, nullptr, journal_in_log) {
    config.token_interval = config.resume_max = 0ms;  // token by token, and nothing held
    config.unread_bytes_max = 1;
    if (journal_in_log) log.database = &disk;
  }
  Seen seen;
  Admission admission{{}};  // outlives the chats that the context holds
  IoContext context{1};
  ListedLog log{seen};
  HandClock clock{*parse_time("2026-11-23T15:57:31.547Z")};
  Metrics registry;
  ChatMetrics metrics{registry};
  MemoryKeyValue disk;
  ChatJournal journal;
  ListedStream stream{seen};
  ChatConfig config;
  std::vector<HeaderField> headers;
  std::string body = R"({"message":"hi","tags":{"env":"prod"}})";

  // How many entries are on the disk.
  std::size_t journalled() {
    ChatJournal fresh(disk);
    return *fresh.load();
  }

  void chat(const std::string& path, ChatBackend& model, asio::cancellation_signal* signal = nullptr) {
    LiveChats live(config, metrics);
    ChatServices services{config, log, model, journal, metrics, clock, live};
    services.on_started = [&](std::string_view trace_id, std::string_view id) {
      seen.push_back("started");
      EXPECT_EQ(log.ids.at(std::string(id)), trace_id);
    };
    Router router;
    add_chat_routes(router, services);
    Request request{.method = http::verb::post, .path = path, .body = body, .headers = headers};
    const auto found = router.find(http::verb::post, path);
    ASSERT_TRUE(found.route);
    const auto& handler = std::get<StreamHandler>(found.route->handler);
    if (!signal) signal = &no_signal;
    bool ended = false;
    auto on_end = [&](std::exception_ptr thrown) {
      ended = true;
      EXPECT_FALSE(thrown);
    };
    asio::co_spawn(context, handler(request, stream), asio::bind_cancellation_slot(signal->slot(), on_end));
    context.restart();
    context.run_for(20s);
    EXPECT_TRUE(ended);
    EXPECT_EQ(metrics.open.Value(), 0);
  }
  void chat(const std::string& path, std::vector<std::string> script) {
    ScriptedModel model(seen, std::move(script));
    chat(path, model);
  }
  asio::cancellation_signal no_signal;
};

}  // namespace assay::chat_test
