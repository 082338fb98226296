#include <gtest/gtest.h>

#include <boost/locale/encoding_utf.hpp>
#include <random>

#include "ops/runtime/base64.hpp"
#include "storage/records/python_text.hpp"
#include "storage/store/filter/catalog_filter.hpp"
#include "storage/store/filter/lexer.hpp"
#include "storage/store/filter/trace_filter.hpp"

#include <boost/json/parse.hpp>

namespace assay::filter {
namespace {

std::string problem(std::string_view text) {
  const auto parsed = parse_trace_filter(text);
  return parsed ? "none" : parsed.error().message;
}

TEST(TraceFilter, ReadsEveryKindOfClause) {
  const auto parsed = parse_trace_filter(
      "attributes.client_request_id = 'req-1' and tags.`a.b` LIKE 'x%' AND metadata.mlflow.trace.session != \"s\" AND "
      "timestamp > 5 AND feedback.\"two words\" >= 0.5 AND span.type IN ('LLM', \"TOOL\") AND tag.k IS NOT NULL");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 7u);
  EXPECT_EQ((*parsed)[0].kind, "attribute");
  EXPECT_EQ((*parsed)[1].key, "a.b");
  EXPECT_EQ((*parsed)[2].key, "mlflow.trace.session");
  EXPECT_EQ((*parsed)[3].key, "timestamp_ms");
  EXPECT_EQ((*parsed)[4].key, "two words");
  EXPECT_EQ(std::get<std::vector<std::string>>((*parsed)[5].value), (std::vector<std::string>{"LLM", "TOOL"}));
  EXPECT_EQ((*parsed)[6].op, "IS NOT NULL");
}

// As a filter has them that was copied from a page or a chat.
TEST(TraceFilter, TakesEveryWhiteSpaceForABlank) {
  const auto parsed = parse_trace_filter(
      "status\u00a0=\u2003'O\u00a0K'\u3000AND\u00a0timestamp > 5\u00a0AND\x1f"
      "tag.\u017ca \u202fLIKE 'x'");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 3u);
  EXPECT_EQ(std::get<std::string>((*parsed)[0].value), "O\u00a0K");
  EXPECT_EQ(std::get<std::int64_t>((*parsed)[1].value), 5);
  EXPECT_EQ((*parsed)[2].key, "\u017ca");
  EXPECT_EQ((*parsed)[2].op, "LIKE");
}

TEST(TraceFilter, ReadsNamesInQuotesAndNamesOfSeveralWords) {
  const auto parsed = parse_trace_filter(
      "tags.'env' = 'prod' AND attributes.'status' = 'OK' AND tags.a b IS NULL AND feedback.a b.c IS NOT NULL");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 4u);
  EXPECT_EQ((*parsed)[0].key, "env");
  EXPECT_EQ((*parsed)[1].key, "status");
  EXPECT_EQ((*parsed)[2].key, "a b");
  EXPECT_EQ((*parsed)[3].key, "a b.c");
}

TEST(TraceFilter, ReadsEscapesInListsAsPythonDoes) {
  const std::pair<std::string, std::string> texts[] = {
      {R"(a\nb)", "a\nb"}, {R"(\x41\u017c\U0001F44D)", "A\u017c\U0001F44D"}, {R"(\101\60x)", "A0x"}, {R"(\'\\)", "'\\"},
      {R"(\d+)", "\\d+"},
  };
  for (const auto& [written, meant] : texts) {
    const auto parsed = parse_trace_filter("status IN ('" + written + "')");
    ASSERT_TRUE(parsed) << written << parsed.error().message;
    EXPECT_EQ(std::get<std::vector<std::string>>(parsed->front().value), std::vector<std::string>{meant}) << written;
  }
  for (const auto* broken : {R"(\x4)", R"(\u12)", R"(\xgg)", R"(\ud800)", R"(\U00110000)"})
    EXPECT_NE(problem("status IN ('" + std::string(broken) + "')").find("ill-formed"), std::string::npos) << broken;
}

TEST(TraceFilter, TakesAThousandIds) {
  std::string list;
  for (int i = 1000; i < 2000; ++i)
    list += (list.empty() ? "'" : ", '") + std::string("tr-00000000000000000000000000000") + std::to_string(i) + "'";
  const auto parsed = parse_trace_filter("request_id IN (" + list + ")");
  ASSERT_TRUE(parsed) << parsed.error().message.substr(0, 99);
  EXPECT_EQ(std::get<std::vector<std::string>>(parsed->front().value).size(), 1000u);
}

TEST(TraceFilter, ReplacesNamesByWhatTheyStandFor) {
  const auto parsed = parse_trace_filter("name = 'x' AND run_id = 'r' AND trace.text LIKE '%y%'");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)[0].key, "mlflow.traceName");
  EXPECT_EQ((*parsed)[1].kind, "request_metadata");
  EXPECT_EQ((*parsed)[2].key, "content");
}

TEST(TraceFilter, SaysNoInMlflowsWords) {
  EXPECT_EQ(problem("status = 'OK' OR name = 'x'"), "Invalid clause(s) in filter string: 'OR'");
  EXPECT_EQ(problem("feedback. = 'x'"), "Assessment field name cannot be empty");
  EXPECT_EQ(problem("status"), "Invalid clause(s) in filter string: 'status'");
  EXPECT_EQ(problem("(status = 'OK')"), "Invalid clause(s) in filter string: '(status = 'OK')'");
  EXPECT_EQ(problem("tags.a = 5"), "Expected a quoted string value for tag (e.g. 'my-value'). Got value 5");
  EXPECT_EQ(problem("status = OK"),
            "Parameter value is either not quoted or unidentified quote types used for string value OK. Use either "
            "single or double quotes.");
  EXPECT_EQ(problem("feedback.x > '1'"),
            "Expected a numeric value for feedback when using comparator '>'. Got value '1'");
  EXPECT_EQ(problem("tags.a-b = 'x'"), "Invalid comparison clause. Expected 'Identifier' found 'tags.a-b'");
  EXPECT_EQ(problem("span.color = 'x'"),
            "Invalid span attribute 'color'. Supported attributes: name, status, type, attributes.<attribute_name>.");
  EXPECT_TRUE(problem("request_time > 5").starts_with("Invalid attribute key 'request_time' specified."));
  EXPECT_TRUE(problem("assessment.x = 'y'").starts_with("Invalid entity type 'assessment'."));
  EXPECT_TRUE(problem("status > 'OK'").starts_with("Invalid comparator '>' not one of"));
}

// A value that is none must not become a clause without one.
TEST(TraceFilter, TakesNoValueWithoutQuotes) {
  EXPECT_EQ(problem("client_request_id = req-1"), "Invalid clause(s) in filter string: '-1'");
  EXPECT_EQ(problem("client_request_id RLIKE a-b"),
            "Expected a quoted string value or a list of quoted string values for attributes. Got value a-b");
  EXPECT_EQ(problem("tags.a = NULL"), "Expected a quoted string value for tag (e.g. 'my-value'). Got value NULL");
  EXPECT_EQ(problem("tags.$x = 'y'"), "Invalid clause(s) in filter string: 'tags.'");
  EXPECT_EQ(problem("  "), "Invalid filter '  '. Could not be parsed.");
  EXPECT_EQ(problem("Timestamp > 5"), "Invalid clause(s) in filter string: 'Timestamp', '>', '5'");
  EXPECT_EQ(problem("timestamp < 'x'"), "Invalid clause(s) in filter string: 'timestamp', '<', ''x'', 'timestamp'");
}

TEST(TraceFilter, RefusesWhatMlflowsDatabaseCannotAsk) {
  EXPECT_EQ(problem("span.attributes.model NOT IN ('a')"),
            "IN expression list, SELECT construct, or bound parameter object expected, got '%\"model\"(\\'a\\',)%'.");
  EXPECT_EQ(problem("metadata.mlflow.trace.cost LIKE 'x'"),
            "Comparator 'LIKE' is not supported for reserved metadata 'mlflow.trace.cost'. Only '=', '!=', 'IS NULL', "
            "and 'IS NOT NULL' are supported.");
}

TEST(TraceFilter, TakesAnyBytes) {
  std::string text = "tags.a = 'x' AND \"b\" `c` (d) -5.5e3 <=> !~ ; \xc3\xb3 \xff \\' '";
  for (std::size_t i = 0; i <= text.size(); ++i) {
    parse_trace_filter(text.substr(i));
    parse_trace_filter(text.substr(0, i));
    parse_trace_order(std::vector<std::string>{text.substr(i)});
    parse_page_token(text.substr(i));
  }
}

TEST(PageToken, IsRefusedInMlflowsWordsAndInUtf8) {
  const auto problem = [](std::string_view bytes) {
    const auto token = parse_page_token(to_base64(bytes));
    return token ? "none" : token.error().message;
  };
  EXPECT_EQ(parse_page_token(to_base64(R"({"offset": 7, "after": "x"})"))->offset, 7);
  EXPECT_EQ(parse_page_token("a").error().message, "Invalid page token, could not base64-decode");
  EXPECT_EQ(problem("no JSON"), "Invalid page token, decoded value=b'no JSON'");
  EXPECT_EQ(problem("a\x99'\n\\"), R"(Invalid page token, decoded value=b"a\x99'\n\\")");
  EXPECT_EQ(problem("'\"\x7f"), R"(Invalid page token, decoded value=b'\'"\x7f')");
  EXPECT_EQ(problem(R"({"offset": 0})"), R"(Invalid page token, parsed value={"offset": 0})");
}

TEST(TraceOrder, AddsWhatMakesItTotal) {
  const auto order = parse_trace_order(std::vector<std::string>{"tags.`a b` DESC"});
  ASSERT_TRUE(order) << order.error().message;
  ASSERT_EQ(order->size(), 3u);
  EXPECT_EQ((*order)[0].key, "a b");
  EXPECT_FALSE((*order)[0].ascending);
  EXPECT_TRUE(is_newest_first(*parse_trace_order({})));
  EXPECT_FALSE(is_newest_first(*order));
  EXPECT_EQ(parse_trace_order(std::vector<std::string>{"status sideways"}).error().message,
            "Invalid ordering key in order_by clause 'status sideways'.");
}

TEST(TraceOrder, IsRefusedWhereMlflowRefusesIt) {
  const auto problem = [](const std::string& clause) {
    const auto order = parse_trace_order(std::vector<std::string>{clause});
    return order ? "none" : order.error().message;
  };
  EXPECT_EQ(problem("tags.'env'"), "none");
  EXPECT_EQ(problem("`status`"), "none");
  for (const std::string clause : {"status asc ", "  status", " ", "TIMESTAMP"})
    EXPECT_EQ(problem(clause), "Invalid order_by clause '" + clause + "'. Could not be parsed.");
  EXPECT_TRUE(problem("`tags.env`").starts_with("Invalid entity type '`tags'."));
  EXPECT_EQ(problem("metadata.`mlflow.trace.tokenUsage`"),
            "Ordering by reserved metadata 'mlflow.trace.tokenUsage' is not supported because it is represented by "
            "multiple columns.");
}

TEST(Like, KnowsPercentAndUnderscoreAndCharactersOfSeveralBytes) {
  EXPECT_TRUE(like("abc", "a%"));
  EXPECT_TRUE(like("abc", "%b%"));
  EXPECT_FALSE(like("Abc", "a%"));
  EXPECT_TRUE(like("\xc5\xbc\xc3\xb3\xc5\x82w", "____"));
  EXPECT_TRUE(like("aXbXc", "a%b%c"));
  EXPECT_FALSE(like("abc", "ab"));
  EXPECT_TRUE(like("", "%"));
  const std::string many(5000, 'a');
  EXPECT_FALSE(like(many, "%a%a%a%a%a%a%a%b"));
}

// As the words of the rule say it, one character of the pattern after the other.
bool like_by_the_rule(std::wstring_view text, std::wstring_view pattern) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == L'%')
    return like_by_the_rule(text, pattern.substr(1)) || (!text.empty() && like_by_the_rule(text.substr(1), pattern));
  return !text.empty() && (pattern[0] == L'_' || pattern[0] == text[0]) &&
         like_by_the_rule(text.substr(1), pattern.substr(1));
}

TEST(Like, IsWhatTheRuleSaysOfAnyTextAndPattern) {
  std::mt19937 random(7);
  const auto some = [&random](const std::wstring& letters) {
    std::wstring out;
    for (auto left = random() % 9; left > 0; --left) out += letters[random() % letters.size()];
    return out;
  };
  const auto bytes = [](const std::wstring& wide) {
    return boost::locale::conv::utf_to_utf<char>(wide.data(), wide.data() + wide.size());
  };
  int found = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto text = some(L"aab\u017c\u0142"), pattern = some(L"aab\u017c%%_");
    const bool expected = like_by_the_rule(text, pattern);
    ASSERT_EQ(like(bytes(text), bytes(pattern)), expected) << bytes(text) << " LIKE " << bytes(pattern);
    found += expected;
  }
  EXPECT_GT(found, 5'000);
}

TEST(Like, IsBoundedAndWhatIsTooLongIsNoAnswer) {
  const std::string text(4 << 20, 'a');
  const auto plain = TextMatch::make("LIKE", "%" + std::string(4096, 'a') + "b%");
  EXPECT_FALSE((*plain)(text));
  EXPECT_FALSE(plain->problem());
  const auto wild = TextMatch::make("LIKE", "%_" + std::string(4096, 'a') + "b%");
  EXPECT_FALSE((*wild)(text));
  EXPECT_TRUE(wild->problem());
}

TEST(RLike, IsBoundedAndRefusesWhatIsNoExpression) {
  EXPECT_FALSE(TextMatch::make("RLIKE", std::string("(")));
  const auto match = TextMatch::make("RLIKE", std::string("(a+)+$"));
  ASSERT_TRUE(match);
  EXPECT_FALSE((*match)(std::string(60, 'a') + "b"));
  ASSERT_TRUE(match->problem()) << "that it was not found is no answer";
  EXPECT_EQ(match->problem()->code, "INVALID_PARAMETER_VALUE");
  const auto simple = TextMatch::make("RLIKE", std::string("a.*b$"));
  EXPECT_FALSE((*simple)(std::string(2000, 'a')));
  EXPECT_FALSE(simple->problem());
}

TEST(RLike, IsAboutCharactersNotBytes) {
  const std::string text = "żółw Ż\nline 2";
  for (const auto* pattern :
       {"^ż.łw", "^[żz]ó", R"(^\w+ )", R"(\bŻ\n)", "(?i)ŻÓŁW", "^.{6}\n", "(?P<a>ż)ó", "(?P<a>l)ine"}) {
    const auto match = TextMatch::make("RLIKE", std::string(pattern));
    ASSERT_TRUE(match) << pattern;
    EXPECT_TRUE((*match)(text)) << pattern;
  }
  for (const auto* pattern : {"^line", "Ż$", "Ż.line", R"(\W{3})", R"((?P<a>ż)(?P=a))"}) {
    const auto match = TextMatch::make("RLIKE", std::string(pattern));
    ASSERT_TRUE(match) << pattern;
    EXPECT_FALSE((*match)(text)) << pattern;
  }
}

TEST(PythonJson, WritesAsPythonDoes) {
  const auto text = [](std::string_view json, bool doubles = false, bool ascii = true) {
    return python_json(boost::json::parse({json.data(), json.size()}), {.doubles = doubles, .ascii = ascii});
  };
  EXPECT_EQ(text(R"({"a":[1,2.5,true,null],"b":"x"})"), R"({"a": [1, 2.5, true, null], "b": "x"})");
  EXPECT_EQ(text("5", true), "5.0");
  EXPECT_EQ(text("1e16"), "1e+16");
  EXPECT_EQ(text("0.0000001"), "1e-07");
  EXPECT_EQ(text("12345.678"), "12345.678");
  EXPECT_EQ(text("\"\xc5\xbc \xf0\x9f\x91\x8d\""), R"("\u017c \ud83d\udc4d")");
  EXPECT_EQ(text("\"\xc5\xbc\"", false, false), "\"\xc5\xbc\"");
}

TEST(CatalogFilter, KnowsAttributesAndTags) {
  const std::map<std::string, std::string> tags{{"team", "blue"}};
  const CatalogEntry entry{[](std::string_view name) -> Value {
                             if (name == "name") return std::string("/Shared/app");
                             return std::int64_t{5};
                           },
                           &tags};
  const auto matches = [&](std::string_view text) {
    const auto parsed = CatalogFilter::parse(CatalogKind::experiment, text);
    EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().message);
    return parsed && (*parsed)(entry);
  };
  EXPECT_TRUE(matches("name LIKE '/Shared/%' AND tags.team = 'blue' AND creation_time >= 5"));
  EXPECT_TRUE(matches("experiment_id IN ('5', '6')"));
  EXPECT_FALSE(matches("tags.team IS NULL"));
  EXPECT_FALSE(matches("tags.other != 'x'"));
  EXPECT_TRUE(matches("tags.'team' = 'blue'"));
  for (const auto* ids : {"= 'abc'", "IN ('5', 'abc')"})
    EXPECT_EQ(CatalogFilter::parse(CatalogKind::experiment, "experiment_id " + std::string(ids)).error().message,
              "Invalid experiment ID 'abc'. Experiment ID must be a valid integer.");
  const auto dataset = CatalogFilter::parse(CatalogKind::dataset, "name RLIKE 'app$'");
  EXPECT_TRUE(dataset && (*dataset)(entry));
  EXPECT_FALSE(CatalogOrder::parse(CatalogKind::dataset, std::vector<std::string>{"`name`"}));
  EXPECT_EQ(CatalogFilter::parse(CatalogKind::experiment, "tags.team > 'x'").error().message,
            "Invalid comparator for tag: >");
  EXPECT_EQ(CatalogFilter::parse(CatalogKind::dataset, "foo.x = 'y'").error().message,
            "Invalid identifier token 'foo' specified");
}

}  // namespace
}  // namespace assay::filter
