#include "sim/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace escala {
namespace {

// One drawing area, in the units of its viewBox.
constexpr double kLeft = 58, kRight = 8, kTop = 10, kBottom = 26, kWidth = 1000;

constexpr const char* kStyle = R"CSS(
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#57606a;--rule:#d0d7de;--band:#f3f5f7;--load:#9aa4af;
--load-fill:#e3e7eb;--in:#0b62c4;--want:#8a4b00;--short:#c4171f;--own:#0b62c4}
@media (prefers-color-scheme:dark){:root{--paper:#12161b;--ink:#e8edf2;--soft:#a3aeb9;--rule:#39424c;--band:#1b2128;
--load:#7c8894;--load-fill:#2a323a;--in:#6cb2ff;--want:#f0a94e;--short:#ff7b72;--own:#6cb2ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:72rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .4rem}h2{font-size:1.2rem;margin:2.2rem 0 .3rem}
p{margin:.3rem 0 .8rem;max-width:50rem}.soft{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding:.2rem 0}
th,td{padding:.32rem .6rem;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{font-weight:600;vertical-align:bottom;white-space:normal;line-height:1.25}
tbody th{font-weight:400}tr.own th,tr.own td{font-weight:700;background:var(--band)}
figure{margin:.6rem 0 1rem}figcaption{color:var(--soft)}
svg{display:block;width:100%;height:auto;background:var(--paper)}svg text{fill:var(--soft);font-size:12px}
.grid{stroke:var(--rule);stroke-width:1}.area{fill:var(--load-fill)}
.load{fill:none;stroke:var(--load);stroke-width:1}.in{fill:none;stroke:var(--in);stroke-width:1.8}
.want{fill:none;stroke:var(--want);stroke-width:1.2;stroke-dasharray:5 3}.short{fill:var(--short)}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;margin:.2rem 0;padding:0;color:var(--ink)}
.key svg{display:inline-block;width:34px;height:12px;margin-right:.4rem;vertical-align:-1px}
details{border-top:1px solid var(--rule);padding:.5rem 0}summary{cursor:pointer;font-size:1.05rem}
.line{fill:none;stroke-width:1.6}
@media print{details{break-inside:avoid}}
)CSS";

// Lines of several policies: told apart by colour and by dashes.
struct Pen {
  const char* light;
  const char* dark;
  const char* dash;
};
constexpr std::array<Pen, 10> kPens = {{{"#0b62c4", "#6cb2ff", ""},
                                        {"#b3440c", "#ff9d5c", "6 3"},
                                        {"#1a7f37", "#4ac26b", "2 3"},
                                        {"#8250df", "#c297ff", "9 3 2 3"},
                                        {"#bf3989", "#ff8ac2", "4 2"},
                                        {"#57606a", "#a3aeb9", "1 2"},
                                        {"#7d6200", "#d9b230", "12 4"},
                                        {"#006d6f", "#43c9c4", "3 5"},
                                        {"#a40e26", "#ff9492", "8 2 2 2 2 2"},
                                        {"#3b3f8f", "#a7adff", "5 5"}}};

std::string pen_style() {
  std::string light, dark;
  for (size_t i = 0; i < kPens.size(); ++i) {
    light += fmt::format(".pen{}{{stroke:{};stroke-dasharray:{}}}", i, kPens[i].light,
                         kPens[i].dash[0] == '\0' ? "none" : kPens[i].dash);
    dark += fmt::format(".pen{}{{stroke:{}}}", i, kPens[i].dark);
  }
  return light + ".pen0{stroke-width:3}@media (prefers-color-scheme:dark){" + dark + "}";
}

// 1, 2 or 5 times a power of ten: about `count` of them up to `most`.
double nice_step(double most, int count) {
  const double raw = most / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10 * power;
}

class Plot {
 public:
  Plot(double height, int64_t horizon_s, double most)
      : height_(height), horizon_s_(static_cast<double>(horizon_s)), most_(most > 0 ? most * 1.05 : 1) {}

  double x(double t_s) const { return kLeft + t_s / horizon_s_ * (kWidth - kLeft - kRight); }
  double y(double value) const { return height_ - kBottom - value / most_ * (height_ - kTop - kBottom); }
  double floor() const { return height_ - kBottom; }

  std::string open(const std::string& title, const std::string& description) const {
    return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}. {}\"><title>{}</title><desc>{}</desc>",
                       kWidth, height_, html_escape(title), html_escape(description), html_escape(title),
                       html_escape(description));
  }

  std::string axes(const std::optional<TimePoint>& start) const {
    std::string out;
    const double step = nice_step(most_, 4);
    for (double v = 0; v <= most_; v += step)
      out += fmt::format(
          "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft,
          y(v), kWidth - kRight, kLeft - 6, y(v) + 4, number(v));
    int64_t every = 3600;
    constexpr std::array<int64_t, 12> kEvery = {60,    300,    900,    3600,    10800,   21600,
                                                86400, 172800, 604800, 2419200, 7776000, 31536000};
    for (const int64_t candidate : kEvery) {
      every = candidate;
      if (horizon_s_ / static_cast<double>(candidate) <= 9) break;
    }
    while (horizon_s_ / static_cast<double>(every) > 9) every *= 2;
    const int64_t offset = start ? start->time_since_epoch() / 1s % every : 0;
    for (int64_t t = offset == 0 ? 0 : every - offset; static_cast<double>(t) < horizon_s_ * 0.96; t += every) {
      const std::string text = moment_text(start, t);
      const std::string label = every >= 86400
                                    ? text.substr(0, text.find_first_of(" ,", 4))
                                    : (every < 86400 && horizon_s_ <= 86400 ? text.substr(text.size() - 5) : text);
      out += fmt::format("<path class=\"grid\" d=\"M{:.1f} {}v4\"/><text x=\"{:.1f}\" y=\"{}\">{}</text>",
                         x(static_cast<double>(t)), floor(), x(static_cast<double>(t)), height_ - 8, label);
    }
    return out;
  }

  // Means of buckets as a line.
  template <typename Value>
  std::string line(const Backtest& run, Value value) const {
    std::string d;
    for (size_t i = 0; i < run.course.size(); ++i)
      d += fmt::format("{}{:.1f} {:.1f}", i == 0 ? 'M' : 'L',
                       x((static_cast<double>(i) + 0.5) * static_cast<double>(run.bucket_s)), y(value(run.course[i])));
    return d;
  }

 private:
  static std::string number(double v) {
    if (v >= 1e6) return fmt::format("{:g} M", v / 1e6);
    return v >= 1e4 ? fmt::format("{:g} k", v / 1e3) : fmt::format("{:g}", v);
  }
  double height_, horizon_s_, most_;
};

std::string key_item(const char* shape, std::string_view words) {
  return fmt::format("<li><svg viewBox=\"0 0 34 12\" aria-hidden=\"true\">{}</svg>{}</li>", shape, words);
}

// High enough for the fleet and nearly all of the load: one flash crowd must not press all else to the ground.
double height_of(const Backtest& run) {
  double fleet = 1;
  std::vector<double> loads;
  for (const Bucket& b : run.course) {
    fleet = std::max({fleet, b.in_service, b.desired});
    loads.push_back(b.load_max);
  }
  std::sort(loads.begin(), loads.end());
  return std::max(fleet, loads[(loads.size() - 1) * 99 / 100]) * 1.1;
}

std::string course_figure(const ReportInput& in, const Backtest& run) {
  double peak = 0;
  for (const Bucket& b : run.course) peak = std::max(peak, b.load_max);
  const double most = height_of(run);
  const Plot plot(260, in.trace.horizon_s(), most);
  std::string area = fmt::format("M{:.1f} {:.1f}", plot.x(0), plot.floor());
  std::string shorts;
  for (size_t i = 0; i < run.course.size(); ++i) {
    const Bucket& b = run.course[i];
    const double from = static_cast<double>(i) * static_cast<double>(run.bucket_s);
    area += fmt::format("L{:.1f} {:.1f}", plot.x(from + 0.5 * static_cast<double>(run.bucket_s)), plot.y(b.load_max));
    if (b.lost > 0) {
      const double to = std::min(from + static_cast<double>(run.bucket_s), static_cast<double>(in.trace.horizon_s()));
      const double left = plot.x(from), right = std::max(plot.x(to), left + 1.5);
      shorts += fmt::format("M{:.1f} {}h{:.1f}v-9h-{:.1f}z", left, plot.floor(), right - left, right - left);
    }
  }
  area += fmt::format("L{:.1f} {:.1f}z", plot.x(static_cast<double>(in.trace.horizon_s())), plot.floor());
  std::string out = "<figure>";
  out += plot.open(fmt::format("{}: load, instances in service and desired", run.label),
                   fmt::format("{} instance-hours, {} of demand unserved in {} stretches",
                               grouped(run.score.cost / 3600), percent_text(run.score.unserved), run.shortfalls));
  out += plot.axes(in.start);
  out += fmt::format("<path class=\"area\" d=\"{}\"/>", area);
  out += fmt::format("<path class=\"load\" d=\"{}\"/>", plot.line(run, [](const Bucket& b) { return b.load_mean; }));
  out += fmt::format("<path class=\"want\" d=\"{}\"/>", plot.line(run, [](const Bucket& b) { return b.desired; }));
  out += fmt::format("<path class=\"in\" d=\"{}\"/>", plot.line(run, [](const Bucket& b) { return b.in_service; }));
  if (!shorts.empty()) out += fmt::format("<path class=\"short\" d=\"{}\"/>", shorts);
  out += "</svg><ul class=\"key\">";
  out += key_item("<path class=\"area\" d=\"M0 0h34v12H0z\"/><path class=\"load\" d=\"M0 8H34\"/>",
                  "load, in instances (area: its peaks)");
  out += key_item("<path class=\"in\" d=\"M0 6H34\"/>", "in service: the capacity there is");
  out += key_item("<path class=\"want\" d=\"M0 6H34\"/>", "desired (with those that boot)");
  out += key_item("<path class=\"short\" d=\"M0 2h34v9H0z\"/>", "fell short: demand was lost");
  out += "</ul>";
  if (peak > most * 1.05)
    out += fmt::format("<figcaption>The load leaves the plot: its peak is {:.1f} instances.</figcaption>", peak);
  return out + "</figure>";
}

std::string shortfall_table(const ReportInput& in, const Backtest& run) {
  if (run.worst.empty()) return "<p>It never fell short.</p>";
  std::string out = fmt::format(
      "<div class=\"wide\"><table><caption>Where it fell short: {} of {} stretches, worst first</caption><thead><tr>"
      "<th scope=\"col\">From</th><th scope=\"col\">For</th><th scope=\"col\">Missing at most, instances</th>"
      "<th scope=\"col\">Lost, instance-minutes</th></tr></thead><tbody>",
      run.worst.size(), grouped(static_cast<int64_t>(run.shortfalls)));
  for (const Shortfall& each : run.worst)
    out += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.1f}</td><td>{:.1f}</td></tr>",
                       moment_text(in.start, each.from_s), to_text(std::chrono::seconds(each.to_s - each.from_s)),
                       each.missing, each.lost / 60);
  return out + "</tbody></table></div>";
}

std::string summary_table(const ReportInput& in) {
  std::string out =
      "<div class=\"wide\"><table><caption>One row a policy; cost counts instances from their launch "
      "on</caption><thead><tr>"
      "<th scope=\"col\">Policy</th><th scope=\"col\">Cost, instance-hours</th><th scope=\"col\">of the least "
      "possible</th>"
      "<th scope=\"col\">Unserved</th><th scope=\"col\">Time saturated</th><th scope=\"col\">Time above 90 %</th>"
      "<th scope=\"col\">Launches</th><th scope=\"col\">J100</th></tr></thead><tbody>";
  for (size_t i = 0; i < in.runs.size(); ++i) {
    const Backtest& run = in.runs[i];
    out += fmt::format(
        "<tr{}><th scope=\"row\">{}</th><td>{}</td><td>{:.2f} "
        "x</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2f}</td></tr>",
        i == 0 ? " class=\"own\"" : "", html_escape(run.label), grouped(run.score.cost / 3600),
        static_cast<double>(run.score.cost) / static_cast<double>(in.bounds.clairvoyant.cost),
        percent_text(run.score.unserved), percent_text(run.score.saturated), percent_text(run.score.above90),
        grouped(run.score.launches), run.priced);
  }
  return out + "</tbody></table></div>";
}

// Running sums over time, a line a policy.
template <typename Value>
std::string sums_figure(const ReportInput& in, const std::string& title, const std::string& unit, Value value) {
  double most = 0, own = 0;
  std::vector<std::vector<double>> sums;
  for (const Backtest& run : in.runs) {
    double sum = 0;
    std::vector<double>& each = sums.emplace_back();
    for (const Bucket& bucket : run.course) each.push_back(sum += value(bucket));
    most = std::max(most, sum);
    if (sums.size() == 1) own = sum;
  }
  // Whoever is far beyond the group leaves the plot rather than flatten it.
  if (own > 0) most = std::min(most, own * 3);
  const Plot plot(240, in.trace.horizon_s(), most);
  std::string out =
      "<figure>" + plot.open(title, "Running sums in " + unit + ", a line a policy; the table above has the totals");
  out += plot.axes(in.start);
  std::string key;
  for (size_t i = in.runs.size(); i-- > 0;) {
    std::string d = fmt::format("M{:.1f} {:.1f}", plot.x(0), plot.y(0));
    for (size_t k = 0; k < sums[i].size(); ++k) {
      const double t = std::min(static_cast<double>(k + 1) * static_cast<double>(in.runs[i].bucket_s),
                                static_cast<double>(in.trace.horizon_s()));
      d += fmt::format("L{:.1f} {:.1f}", plot.x(t), plot.y(sums[i][k]));
    }
    out += fmt::format("<path class=\"line pen{}\" d=\"{}\"/>", i % kPens.size(), d);
    key = key_item(fmt::format("<path class=\"line pen{}\" d=\"M0 6H34\"/>", i % kPens.size()).c_str(),
                   html_escape(in.runs[i].label) + (sums[i].back() > most * 1.05 ? " (leaves the plot)" : "")) +
          key;
  }
  return out + fmt::format("</svg><ul class=\"key\">{}</ul><figcaption>{}, {}</figcaption></figure>", key,
                           html_escape(title), unit);
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return number < 0 ? "-" + digits : digits;
}

std::string moment_text(const std::optional<TimePoint>& start, int64_t t_s) {
  if (start) {
    const std::string text = iso8601(*start + std::chrono::seconds(t_s));
    return text.substr(0, 10) + " " + text.substr(11, 5);
  }
  return fmt::format("day {}, {:02}:{:02}", t_s / 86400 + 1, t_s / 3600 % 24, t_s / 60 % 60);
}

std::string percent_text(double share) {
  const double percent = share * 100;
  if (percent == 0) return "0 %";
  if (percent >= 10) return fmt::format("{:.1f} %", percent);
  return percent < 0.0005 ? "< 0.0005 %" : fmt::format("{:.3f} %", percent);
}

std::string html_report(const ReportInput& in) {
  const DemandTrace& trace = in.trace;
  double sum = 0, peak = 0;
  for (const double d : trace.demand) {
    sum += d;
    peak = std::max(peak, d);
  }
  const double mean = sum / static_cast<double>(trace.demand.size());
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
      "<title>{0}</title><style>{1}{2}</style></head><body><main><h1>{0}</h1>",
      html_escape(in.title), kStyle, pen_style());
  out += fmt::format(
      "<p>{} of load from {}, in steps of {}: {:.1f} instances on average, {:.1f} at the peak, at {:g} per instance. "
      "An "
      "instance serves {} after its launch. The least that serves everything, for one who knows the future: <strong>{} "
      "instance-hours</strong>.</p>",
      to_text(std::chrono::seconds(trace.horizon_s())), moment_text(in.start, 0),
      to_text(std::chrono::seconds(trace.step_s)), mean / trace.capacity, peak / trace.capacity, trace.capacity,
      to_text(std::chrono::seconds(in.boot_s)), grouped(in.bounds.clairvoyant.cost / 3600));
  out += summary_table(in);
  out +=
      "<p class=\"soft\">J100 prices lost demand at 100 times what serving it costs, over the exact optimum at that "
      "price: 1 "
      "is perfect. The model: equal instances, load spread evenly, demand beyond capacity is lost in that instant, "
      "launches "
      "succeed and take exactly the boot delay.</p>";
  const Backtest& own = in.runs.front();
  out += fmt::format("<h2>{}</h2>", html_escape(own.label)) + course_figure(in, own) + shortfall_table(in, own);
  out += "<h2>Cost over time</h2>" +
         sums_figure(in, "Cost", "instance-hours", [](const Bucket& b) { return b.cost / 3600; });
  out += "<h2>Demand lost over time</h2>" +
         sums_figure(in, "Demand lost", "instance-hours", [](const Bucket& b) { return b.lost / 3600; });
  if (in.runs.size() > 1) out += "<h2>The others</h2>";
  for (size_t i = 1; i < in.runs.size(); ++i)
    out += fmt::format("<details><summary>{}: {} instance-hours, {} unserved</summary>{}{}</details>",
                       html_escape(in.runs[i].label), grouped(in.runs[i].score.cost / 3600),
                       percent_text(in.runs[i].score.unserved), course_figure(in, in.runs[i]),
                       shortfall_table(in, in.runs[i]));
  return out + "</main></body></html>\n";
}

}  // namespace escala
