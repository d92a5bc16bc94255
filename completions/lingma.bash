# bash completion for lingma, written by `lingma completion bash`
_lingma() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} path= word words=
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case "${path:+$path }$word" in
        "serve"|"chat"|"models"|"status"|"gpu"|"login"|"logout"|"whoami"|"completion"|"version"|"gateway"|"gateway start"|"gateway stop"|"gateway restart"|"gateway status"|"gateway logs"|"engine"|"engine list"|"engine add"|"engine start"|"engine stop"|"engine drain"|"engine restart"|"engine remove"|"engine prune"|"engine logs"|"engine install"|"engine update"|"engine rollback"|"engine verify"|"engine path"|"engine versions"|"account"|"account list"|"account use"|"account rename"|"account remove"|"account test"|"account thaw"|"session"|"session export"|"session import"|"session list"|"session inspect"|"session remove"|"key"|"key show"|"config"|"config show"|"config import-env") path="${path:+$path }$word" ;;
        esac
    done
    # Bash cuts `--option=value` at the sign.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case "$path $prev" in
    "serve --log-level") COMPREPLY=($(compgen -W "debug info warning error" -- "$cur")); return ;;
    "serve --log-format") COMPREPLY=($(compgen -W "auto text json" -- "$cur")); return ;;
    "serve --ask-mode") COMPREPLY=($(compgen -W "chat agent" -- "$cur")); return ;;
    "serve --tools") COMPREPLY=($(compgen -W "auto native prompt off" -- "$cur")); return ;;
    "serve --response-store") COMPREPLY=($(compgen -W "sqlite memory none" -- "$cur")); return ;;
    "serve --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "serve --policy") COMPREPLY=($(compgen -W "auto affinity cache_aware round_robin random power_of_two bucket manual consistent_hashing prefix_hash" -- "$cur")); return ;;
    "serve --assignment-mode") COMPREPLY=($(compgen -W "random min_load min_group" -- "$cur")); return ;;
    "login --method") COMPREPLY=($(compgen -W "auto browser paste password token aksk import" -- "$cur")); return ;;
    "login --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "logout --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "gateway start --log-level") COMPREPLY=($(compgen -W "debug info warning error" -- "$cur")); return ;;
    "gateway start --log-format") COMPREPLY=($(compgen -W "auto text json" -- "$cur")); return ;;
    "gateway start --ask-mode") COMPREPLY=($(compgen -W "chat agent" -- "$cur")); return ;;
    "gateway start --tools") COMPREPLY=($(compgen -W "auto native prompt off" -- "$cur")); return ;;
    "gateway start --response-store") COMPREPLY=($(compgen -W "sqlite memory none" -- "$cur")); return ;;
    "gateway start --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "gateway start --policy") COMPREPLY=($(compgen -W "auto affinity cache_aware round_robin random power_of_two bucket manual consistent_hashing prefix_hash" -- "$cur")); return ;;
    "gateway start --assignment-mode") COMPREPLY=($(compgen -W "random min_load min_group" -- "$cur")); return ;;
    "gateway restart --log-level") COMPREPLY=($(compgen -W "debug info warning error" -- "$cur")); return ;;
    "gateway restart --log-format") COMPREPLY=($(compgen -W "auto text json" -- "$cur")); return ;;
    "gateway restart --ask-mode") COMPREPLY=($(compgen -W "chat agent" -- "$cur")); return ;;
    "gateway restart --tools") COMPREPLY=($(compgen -W "auto native prompt off" -- "$cur")); return ;;
    "gateway restart --response-store") COMPREPLY=($(compgen -W "sqlite memory none" -- "$cur")); return ;;
    "gateway restart --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "gateway restart --policy") COMPREPLY=($(compgen -W "auto affinity cache_aware round_robin random power_of_two bucket manual consistent_hashing prefix_hash" -- "$cur")); return ;;
    "gateway restart --assignment-mode") COMPREPLY=($(compgen -W "random min_load min_group" -- "$cur")); return ;;
    "engine add --kind") COMPREPLY=($(compgen -W "llm embedding" -- "$cur")); return ;;
    "engine start --engine-kind") COMPREPLY=($(compgen -W "llm embedding" -- "$cur")); return ;;
    "engine start --template") COMPREPLY=($(compgen -W "llama.cpp vllm sglang ollama" -- "$cur")); return ;;
    "account rename --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "account remove --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "account test --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session export --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session import --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session list --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "session remove --store") COMPREPLY=($(compgen -W "auto keyring encrypted plain" -- "$cur")); return ;;
    "serve --config"|"serve --bin"|"serve --work-dir"|"chat --file"|"chat --config"|"models --config"|"status --config"|"login --selectors"|"login --bin"|"login --passphrase-file"|"login --config"|"logout --bin"|"logout --passphrase-file"|"logout --config"|"whoami --config"|"gateway start --config"|"gateway start --bin"|"gateway start --work-dir"|"gateway stop --config"|"gateway restart --config"|"gateway restart --bin"|"gateway restart --work-dir"|"gateway status --config"|"engine list --config"|"engine add --config"|"engine start --config"|"engine stop --config"|"engine drain --config"|"engine restart --config"|"engine remove --config"|"engine prune --config"|"engine install --vsix"|"engine install --bin"|"engine install --config"|"engine update --config"|"engine rollback --config"|"engine verify --config"|"engine path --config"|"engine versions --config"|"account list --config"|"account use --config"|"account rename --passphrase-file"|"account rename --config"|"account remove --passphrase-file"|"account remove --config"|"account test --bin"|"account test --passphrase-file"|"account test --config"|"account thaw --config"|"session export --output"|"session export --passphrase-file"|"session export --config"|"session import --passphrase-file"|"session import --bin"|"session import --config"|"session list --config"|"session remove --passphrase-file"|"session remove --config"|"key show --config"|"config show --config")
        local IFS=$'\n'
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return ;;
    "serve --host"|"serve --port"|"serve --allow-host"|"serve --body-limit"|"serve --head-timeout"|"serve --drain-timeout"|"serve --max-in-flight"|"serve --queue-timeout"|"serve --queue-size"|"serve --default-model"|"serve --first-event-timeout"|"serve --idle-timeout"|"serve --ping-interval"|"serve --socket-port"|"serve --startup-timeout"|"serve --rpc-timeout"|"serve --endpoint"|"serve --passphrase-file"|"serve --engines"|"serve --alias"|"serve --fallback"|"serve --cache-threshold"|"serve --balance-abs-threshold"|"serve --balance-rel-threshold"|"serve --max-tree-size"|"serve --eviction-interval-secs"|"serve --max-idle-secs"|"serve --bucket-adjust-interval-secs"|"serve --prefix-token-count"|"serve --load-factor"|"chat --model"|"chat --system"|"chat --url"|"models --url"|"status --url"|"login --account"|"login --endpoint"|"login --username"|"login --organisation"|"login --timeout"|"logout --account"|"whoami --account"|"gateway start --host"|"gateway start --port"|"gateway start --allow-host"|"gateway start --body-limit"|"gateway start --head-timeout"|"gateway start --drain-timeout"|"gateway start --max-in-flight"|"gateway start --queue-timeout"|"gateway start --queue-size"|"gateway start --default-model"|"gateway start --first-event-timeout"|"gateway start --idle-timeout"|"gateway start --ping-interval"|"gateway start --socket-port"|"gateway start --startup-timeout"|"gateway start --rpc-timeout"|"gateway start --endpoint"|"gateway start --passphrase-file"|"gateway start --engines"|"gateway start --alias"|"gateway start --fallback"|"gateway start --cache-threshold"|"gateway start --balance-abs-threshold"|"gateway start --balance-rel-threshold"|"gateway start --max-tree-size"|"gateway start --eviction-interval-secs"|"gateway start --max-idle-secs"|"gateway start --bucket-adjust-interval-secs"|"gateway start --prefix-token-count"|"gateway start --load-factor"|"gateway stop --timeout"|"gateway restart --host"|"gateway restart --port"|"gateway restart --allow-host"|"gateway restart --body-limit"|"gateway restart --head-timeout"|"gateway restart --drain-timeout"|"gateway restart --max-in-flight"|"gateway restart --queue-timeout"|"gateway restart --queue-size"|"gateway restart --default-model"|"gateway restart --first-event-timeout"|"gateway restart --idle-timeout"|"gateway restart --ping-interval"|"gateway restart --socket-port"|"gateway restart --startup-timeout"|"gateway restart --rpc-timeout"|"gateway restart --endpoint"|"gateway restart --passphrase-file"|"gateway restart --engines"|"gateway restart --alias"|"gateway restart --fallback"|"gateway restart --cache-threshold"|"gateway restart --balance-abs-threshold"|"gateway restart --balance-rel-threshold"|"gateway restart --max-tree-size"|"gateway restart --eviction-interval-secs"|"gateway restart --max-idle-secs"|"gateway restart --bucket-adjust-interval-secs"|"gateway restart --prefix-token-count"|"gateway restart --load-factor"|"gateway logs --lines"|"engine add --id"|"engine add --model"|"engine add --api-key-ref"|"engine add --limit"|"engine add --label"|"engine start --engine-port"|"engine start --engine-label"|"engine start --limit"|"engine drain --timeout"|"engine logs --lines"|"engine install --url"|"engine install --version"|"session export --expires"|"session import --account") return ;;
    esac
    case "$path" in
    "") words="serve chat models status gpu login logout whoami completion version gateway engine account session key config --version -V --help" ;;
    "serve") words="--config --host --port --allow-host --no-auth --body-limit --head-timeout --drain-timeout --log-level --log-format --max-in-flight --queue-timeout --queue-size --default-model --ask-mode --first-event-timeout --idle-timeout --ping-interval --tools --response-store --demo --bin --work-dir --socket-port --startup-timeout --rpc-timeout --endpoint --store --passphrase-file --engines --policy --alias --fallback --cache-threshold --balance-abs-threshold --balance-rel-threshold --max-tree-size --eviction-interval-secs --max-idle-secs --assignment-mode --bucket-adjust-interval-secs --prefix-token-count --load-factor --disable-retries --disable-circuit-breaker --disable-health-check --help" ;;
    "chat") words="--model --system --file -f --continue -c --no-history --url --config --json --help" ;;
    "models") words="--url --config --json --help" ;;
    "status") words="--url --config --json --help" ;;
    "gpu") words="--json --help" ;;
    "login") words="--account --method --endpoint --username --organisation --headless --timeout --selectors --accept-terms --force --bin --store --passphrase-file --config --help" ;;
    "logout") words="--account --all --bin --store --passphrase-file --config --help" ;;
    "whoami") words="--account --json --config --help" ;;
    "completion") words="bash zsh fish powershell --help" ;;
    "version") words="--json --help" ;;
    "gateway") words="start stop restart status logs --help" ;;
    "gateway start") words="--config --host --port --allow-host --no-auth --body-limit --head-timeout --drain-timeout --log-level --log-format --max-in-flight --queue-timeout --queue-size --default-model --ask-mode --first-event-timeout --idle-timeout --ping-interval --tools --response-store --demo --bin --work-dir --socket-port --startup-timeout --rpc-timeout --endpoint --store --passphrase-file --engines --policy --alias --fallback --cache-threshold --balance-abs-threshold --balance-rel-threshold --max-tree-size --eviction-interval-secs --max-idle-secs --assignment-mode --bucket-adjust-interval-secs --prefix-token-count --load-factor --disable-retries --disable-circuit-breaker --disable-health-check --help" ;;
    "gateway stop") words="--force --timeout --config --help" ;;
    "gateway restart") words="--config --host --port --allow-host --no-auth --body-limit --head-timeout --drain-timeout --log-level --log-format --max-in-flight --queue-timeout --queue-size --default-model --ask-mode --first-event-timeout --idle-timeout --ping-interval --tools --response-store --demo --bin --work-dir --socket-port --startup-timeout --rpc-timeout --endpoint --store --passphrase-file --engines --policy --alias --fallback --cache-threshold --balance-abs-threshold --balance-rel-threshold --max-tree-size --eviction-interval-secs --max-idle-secs --assignment-mode --bucket-adjust-interval-secs --prefix-token-count --load-factor --disable-retries --disable-circuit-breaker --disable-health-check --help" ;;
    "gateway status") words="--config --json --help" ;;
    "gateway logs") words="--follow -f --lines -n --help" ;;
    "engine") words="list add start stop drain restart remove prune logs install update rollback verify path versions --help" ;;
    "engine list") words="--json --config --help" ;;
    "engine add") words="--id --model --kind --api-key-ref --limit --label --json --config --help" ;;
    "engine start") words="--engine-kind --engine-port --engine-label --template --limit --no-wait --json --config --help" ;;
    "engine stop") words="--config --help" ;;
    "engine drain") words="--timeout --config --help" ;;
    "engine restart") words="--config --help" ;;
    "engine remove") words="--config --help" ;;
    "engine prune") words="--config --help" ;;
    "engine logs") words="--follow -f --lines -n --help" ;;
    "engine install") words="--vsix --url --bin --version --force --accept-changed --json --config --help" ;;
    "engine update") words="--force --accept-changed --json --config --help" ;;
    "engine rollback") words="--json --config --help" ;;
    "engine verify") words="--json --config --help" ;;
    "engine path") words="--json --config --help" ;;
    "engine versions") words="--json --config --help" ;;
    "account") words="list use rename remove test thaw --help" ;;
    "account list") words="--json --config --help" ;;
    "account use") words="--config --help" ;;
    "account rename") words="--store --passphrase-file --config --help" ;;
    "account remove") words="--store --passphrase-file --config --help" ;;
    "account test") words="--bin --store --passphrase-file --config --help" ;;
    "account thaw") words="--config --help" ;;
    "session") words="export import list inspect remove --help" ;;
    "session export") words="--output -o --encrypt --plaintext --expires --passphrase-file --store --config --help" ;;
    "session import") words="--account --replace --verify --passphrase-file --bin --store --config --help" ;;
    "session list") words="--json --store --config --help" ;;
    "session inspect") words="--json --help" ;;
    "session remove") words="--store --passphrase-file --config --help" ;;
    "key") words="show --help" ;;
    "key show") words="--admin --config --help" ;;
    "config") words="show import-env --help" ;;
    "config show") words="--origin --json --config --help" ;;
    "config import-env") words="--help" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _lingma lingma
