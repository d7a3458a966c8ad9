# escala: completion for bash.  source <(escala completion bash)
# shellcheck disable=SC2207
_escala() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local commands="apply audit board compare completion control ctl demo help monitor reference replay serve simulate test trace tune"
  local load="-f --file --trace --group --boot --capacity --step --fill --sort --start --output --help"
  local ctl="activities delete doctor explain export groups iam-policy instances key observe pause policies protect resume set-desired suspend terminate"
  local processes="Launch Terminate AddToLoadBalancer AlarmNotification AZRebalance HealthCheck InstanceRefresh ReplaceUnhealthy ScheduledActions"
  local dir="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [ "${COMP_WORDS[i]}" = --state-dir ] && dir=${COMP_WORDS[i+1]}
  done
  case $prev in
    -f|--file|--save|--trace|--report|--write) compopt -o default; COMPREPLY=(); return ;;
    --state-dir) compopt -o dirnames; COMPREPLY=(); return ;;
    --output) COMPREPLY=($(compgen -W "table json text" -- "$cur")); return ;;
    --fill) COMPREPLY=($(compgen -W "hold zero linear" -- "$cur")); return ;;
    --kinds) COMPREPLY=($(compgen -W "TargetTrackingScaling StepScaling" -- "$cur")); return ;;
    --processes) COMPREPLY=($(compgen -W "$processes" -- "$cur")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "$commands" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = completion ]; then
    COMPREPLY=($(compgen -W "bash" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = apply ]; then
    COMPREPLY=($(compgen -W "-f --file --dry-run --wait --timeout --output --state-dir --help" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = simulate ]; then
    COMPREPLY=($(compgen -W "$load --report" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = compare ]; then
    COMPREPLY=($(compgen -W "$load --report --rival" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = tune ]; then
    COMPREPLY=($(compgen -W "$load --slo --kinds --targets --warmups --out-datapoints --in-datapoints --windows --tolerances --settings --seed --threads --write" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = trace ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "generate" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = trace ]; then
    COMPREPLY=($(compgen -W "--days --step --mean --crowds --seed --help" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = test ] || [ "${COMP_WORDS[1]}" = replay ]; then
    compopt -o default; COMPREPLY=()
  elif [ "${COMP_WORDS[1]}" = ctl ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "$ctl" -- "$cur"))
  elif [ "${COMP_WORDS[1]}" = ctl ]; then
    if [[ $cur == -* ]]; then
      COMPREPLY=($(compgen -W "--output --state-dir --wait --timeout --help" -- "$cur"))
    else
      case ${COMP_WORDS[2]} in
        terminate|protect)
          COMPREPLY=($(compgen -W "$(escala ctl instances --output text ${dir:+--state-dir "$dir"} 2>/dev/null | cut -f1)" -- "$cur")) ;;
        suspend)
          COMPREPLY=($(compgen -W "$processes $(escala ctl groups --output text ${dir:+--state-dir "$dir"} 2>/dev/null | cut -f1)" -- "$cur")) ;;
        *)
          COMPREPLY=($(compgen -W "$(escala ctl groups --output text ${dir:+--state-dir "$dir"} 2>/dev/null | cut -f1)" -- "$cur")) ;;
      esac
    fi
  fi
}
complete -F _escala escala
