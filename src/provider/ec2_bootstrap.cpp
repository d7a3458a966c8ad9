#include "provider/ec2_bootstrap.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "provider/aws_sign.h"

namespace escala {
namespace {

// What it needs: a POSIX shell, curl or wget, sha256sum. Runs as root at the first boot, and again harmlessly. With
// ESCALA_ROOT it installs below that directory and leaves the machine's own services alone (containers, tests).
constexpr std::string_view kScript = R"sh(#!/bin/sh
# Installs escala-agent and starts it. Written by Escala; the instance's own user data follows as the next part.
set -eu
umask 077
root=${ESCALA_ROOT:-}
dir=$root/var/lib/escala
bin=$root/usr/local/bin
mkdir -p "$dir" "$bin"
url=@URL@
sum=@SUM@
if [ -n @CA@ ]; then
  cat >"$dir/manager-ca.pem" <<'END'
@PEM@
END
fi
fetch() {
  if command -v curl >/dev/null 2>&1; then
    if [ -s "$dir/manager-ca.pem" ]; then set -- --cacert "$dir/manager-ca.pem"; else set --; fi
    curl -fsS --max-time 60 "$@" -o "$dir/escala-agent.new" "$url"
  else
    if [ -s "$dir/manager-ca.pem" ]; then set -- "--ca-certificate=$dir/manager-ca.pem"; else set --; fi
    wget -q -T 60 "$@" -O "$dir/escala-agent.new" "$url"
  fi
}
have() { [ -f "$1" ] && echo "$sum  $1" | sha256sum -c - >/dev/null 2>&1; }
wait=1
until have "$bin/escala-agent"; do
  if fetch && have "$dir/escala-agent.new"; then
    chmod 0755 "$dir/escala-agent.new"
    mv -f "$dir/escala-agent.new" "$bin/escala-agent"
    continue
  fi
  rm -f "$dir/escala-agent.new"
  echo "escala: the agent at $url cannot be fetched, or is not the one expected; again in $wait s" >&2
  sleep "$wait"
  [ "$wait" -ge 30 ] || wait=$((wait * 2))
done
cat >"$dir/agent.env" <<'END'
ESCALA_MANAGER=@MANAGER@
ESCALA_GROUP=@GROUP@
ESCALA_JOIN_TOKEN=@TOKEN@
END
printf 'ESCALA_AGENT="%s"\n' "$bin/escala-agent" >>"$dir/agent.env"
cat >"$dir/run" <<'END'
#!/bin/sh
dir=$(dirname "$0")
set -a
. "$dir/agent.env"
set +a
cd /
set -- --instance imds --session-file "$dir/session" @ARGUMENTS@
if [ -s "$dir/manager-ca.pem" ]; then set -- "$@" --tls-ca "$dir/manager-ca.pem"; fi
exec "$ESCALA_AGENT" "$@"
END
cat >"$dir/boot" <<'END'
#!/bin/sh
dir=$(dirname "$0")
(while ! "$dir/run"; do sleep 1; done) </dev/null >>"$dir/agent.log" 2>&1 &
END
chmod 0700 "$dir/run" "$dir/boot"
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
  cat >/etc/systemd/system/escala-agent.service <<END
[Unit]
Description=Escala agent
Wants=network-online.target
After=network-online.target
[Service]
ExecStart=$dir/run
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
END
  systemctl daemon-reload
  systemctl enable --now escala-agent.service
else
  # It comes back when the instance is stopped and started again, where cloud-init looks here at each boot.
  per_boot=$root/var/lib/cloud/scripts/per-boot
  if [ -d "$per_boot" ]; then
    printf '#!/bin/sh\nexec "%s/boot"\n' "$dir" >"$per_boot/escala-agent"
    chmod 0700 "$per_boot/escala-agent"
  fi
  "$dir/boot"
fi
)sh";

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

// As one word of a shell, whatever is in it.
std::string quoted(const std::string& text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}

// Goes between single quotes, or alone on a line: only what means nothing to a shell.
bool harmless(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c > ' ' && c < 0x7f &&
           std::string_view("'\"\\$`;&|<>(){}*?!#~^").find(static_cast<char>(c)) == std::string_view::npos;
  });
}

std::string content_type(const std::string& data) {
  struct Kind {
    std::string_view start, type;
  };
  constexpr std::array kKinds = {Kind{"#!", "text/x-shellscript"},
                                 Kind{"#cloud-config", "text/cloud-config"},
                                 Kind{"#cloud-boothook", "text/cloud-boothook"},
                                 Kind{"#include", "text/x-include-url"},
                                 Kind{"#upstart-job", "text/upstart-job"},
                                 Kind{"#part-handler", "text/part-handler"},
                                 Kind{"## template: jinja", "text/jinja2"}};
  for (const Kind& kind : kKinds)
    if (data.starts_with(kind.start)) return std::string(kind.type);
  return "text/plain";
}

}  // namespace

std::string gzip(std::string_view data) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return "";
  std::string out(deflateBound(&stream, static_cast<uLong>(data.size())) + 32, '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data.data()));  // NOLINT: zlib's old signature
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Result<std::string> bootstrap_script(const BootstrapSettings& settings, const BootstrapOf& who) {
  const auto& [group, join_token, arguments] = who;
  for (const auto& [what, text] :
       {std::pair{"the manager's address", &settings.manager}, std::pair{"the agent's URL", &settings.agent_url},
        std::pair{"the join token", &join_token}})
    if (text->empty() || !harmless(*text))
      return Error{ErrorKind::Invalid,
                   fmt::format("user data: {} is '{}', which cannot stand in a script", what, *text)};
  std::string quoted_arguments;
  for (const std::string& argument : arguments) {
    if (argument.find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos)
      return Error{ErrorKind::Invalid, "user data: an argument of the agent has more than one line"};
    quoted_arguments += quoted_arguments.empty() ? quoted(argument) : " " + quoted(argument);
  }
  if (settings.agent_sha256.size() != 64 || !harmless(settings.agent_sha256))
    return Error{ErrorKind::Invalid, "user data: the agent's SHA-256 has 64 hexadecimal digits"};
  if (settings.authority.size() > kMaxAuthorityBytes || settings.authority.find("\nEND\n") != std::string::npos)
    return Error{ErrorKind::Invalid,
                 fmt::format("user data: the authority's PEM is over {} bytes", kMaxAuthorityBytes)};
  std::string pem = settings.authority;
  while (!pem.empty() && pem.back() == '\n') pem.pop_back();
  std::string text(kScript);
  text = replaced(std::move(text), "@URL@", "'" + settings.agent_url + "'");
  text = replaced(std::move(text), "@SUM@", settings.agent_sha256);
  text = replaced(std::move(text), "@CA@", pem.empty() ? "''" : "yes");
  text = replaced(std::move(text), "@PEM@", pem);
  text = replaced(std::move(text), "@MANAGER@", settings.manager);
  text = replaced(std::move(text), "@GROUP@", quoted(group));
  text = replaced(std::move(text), "@ARGUMENTS@", quoted_arguments);
  return replaced(std::move(text), "@TOKEN@", join_token);
}

Result<std::string> bootstrap_user_data(const BootstrapSettings& settings, const BootstrapOf& who,
                                        const std::string& users_own) {
  ESCALA_ASSIGN(const std::string script, bootstrap_script(settings, who));
  // A boundary that occurs in neither part, and follows from them alone.
  const std::string boundary = "==escala-" + hex(sha256(script + users_own)).substr(0, 32);
  std::string mime = fmt::format(
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{0}\"\n\n--{0}\n"
      "Content-Type: text/x-shellscript; charset=\"us-ascii\"\nContent-Transfer-Encoding: 7bit\n"
      "Content-Disposition: attachment; filename=\"00-escala\"\n\n{1}\n",
      boundary, script);
  if (!users_own.empty()) {
    const bool is_mime = users_own.starts_with("MIME-Version:") || users_own.starts_with("Content-Type: multipart/");
    const bool text = std::all_of(users_own.begin(), users_own.end(),
                                  [](unsigned char c) { return c < 0x80 && (c >= ' ' || c == '\n' || c == '\t'); });
    if (is_mime) {
      mime +=
          fmt::format("--{}\n{}{}\n", boundary, users_own.starts_with("MIME") ? "" : "MIME-Version: 1.0\n", users_own);
    } else {
      // Bytes that a mail may not carry go as base64; cloud-init undoes it, and unpacks gzip by itself.
      mime += fmt::format(
          "--{}\nContent-Type: {}\nContent-Transfer-Encoding: {}\n"
          "Content-Disposition: attachment; filename=\"50-user-data\"\n\n{}\n",
          boundary, content_type(users_own), text ? "7bit" : "base64", text ? users_own : base64(users_own));
    }
  }
  mime += fmt::format("--{}--\n", boundary);
  std::string packed = gzip(mime);
  if (packed.size() > kMaxUserDataBytes)
    return Error{ErrorKind::Invalid, fmt::format("user data is {} bytes with the agent's part, packed; EC2 takes {}",
                                                 packed.size(), kMaxUserDataBytes)};
  return packed;
}

}  // namespace escala
