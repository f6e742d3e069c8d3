//! The vocabulary of asking: which verbs want a change, which an answer. Data and its look-up; the grammar that uses
//! it stands in `intent.rs`. One string for each list, words separated by blanks, phrases by `|`: compact, and easy to
//! add to.
//!
//! **Invariant:** all lower case; a word stands in one list of verbs only (a test reads them).

/// Returns whether a list has a word.
pub fn listed(list: &str, word: &str) -> bool {
    !word.is_empty() && list.as_bytes().split(|byte| *byte == b' ').any(|entry| entry == word.as_bytes())
}

/// Returns whether a word is one of the verbs here, or one of those that may stand before them.
pub fn is_verb(word: &str) -> bool {
    let word = word.to_lowercase();
    [CHANGE, CREATE, LOOK, TELL, FILLER].iter().any(|list| listed(list, &word))
}

/// Returns what follows the longest of the phrases (separated by `|`) that the words begin with.
pub fn led_by<'a, 'b>(phrases: &str, words: &'a [&'b str]) -> Option<&'a [&'b str]> {
    let first = *words.first()?;
    let counts = phrases.split('|').filter(|phrase| phrase.starts_with(first)).filter_map(|phrase| {
        let count = phrase.split(' ').count();
        let begins = words.len() >= count && phrase.split(' ').zip(words).all(|(one, other)| one == *other);
        begins.then_some(count)
    });
    words.get(counts.max()?..)
}

/// May stand anywhere before the verb and says nothing.
pub const FILLER: &str = "\
    please kindly now then next first firstly second secondly third finally also just simply quickly ok okay hi \
    hello hey so and but afterwards again hence therefore maybe pls plz bitte dann jetzt puis por favor";
/// What may stand before the verb without changing what is asked.
pub const LEADS: &str = "\
    help me to|help me|help us|let's|lets|let us|try to|you should|you must|go ahead and|make sure to|be sure to|\
    remember to|don't forget to|want to|your task is to|the task is to|your job is to|the goal is to|\
    i want you to|i need you to|i'd like you to|i would like you to|i want to|we want to|i need to|we need to|\
    we should|we must|i'd like to|we'd like to|i would like to|we would like to|i'd love to|it would be great to";
/// Requests in the form of a question; with a verb that is not known they stay questions.
pub const POLITE: &str = "\
    can you|could you|would you|will you|can someone|could someone|would you mind|can u|could u";
/// The same in languages that put the verb last, or after a pronoun: "kannst du den Fehler beheben?".
pub const POLITE_ABROAD: &str = "\
    kannst du|könntest du|können sie|könnten sie|peux-tu|pouvez-vous|puedes|podrías|puoi";
/// Asks for a thing: "I need a script".
pub const WANTS: &str = "i want|i need|we want|we need|i'd like|we'd like|i would like|i'd love";
/// Asks for words.
pub const TOLD: &str = "let me know|give me|give us|update me|fill me|question|q";
/// Words that begin a question, with or without its mark.
pub const ASK: &str = "\
    why how what which who whose what's whats how's why's who's warum wieso weshalb wie was welche welcher \
    welches wer pourquoi quel quelle quels quelles qu'est-ce qué cuál cómo quién perché quale come wozu";
/// Begins a question only if a question mark ends it.
pub const AUXILIARY: &str = "\
    is are was were does do did has have had should can could would will may am isn't aren't doesn't don't \
    didn't can't won't shouldn't ist sind hat kann gibt est peut es hay";
/// Verbs that change what is there: English, then German, French, Spanish, Italian and Portuguese.
pub const CHANGE: &str = "\
    adapt adjust align allow annotate append apply bump bundle cache change clean cleanup code comment complete \
    configure connect convert correct cut decouple dedupe deduplicate delete deprecate disable document drop \
    duplicate edit eliminate embed enable encapsulate enforce ensure enhance erase exclude expand expose extend \
    extract finish fix forbid format group handle harden hook ignore improve include increase inline insert integrate \
    introduce invert isolate limit lint localize log lower mark merge migrate minify mock modernise modernize \
    modify modularise modularize move mute nest normalise normalize optimise optimize order organise organize \
    overwrite paginate parallelise parallelize parameterise parameterize patch pin polish port prefix prepend \
    prevent provide put raise redesign reduce refactor reformat refuse reject relocate remove rename reorder reorganise \
    reorganize repair replace resolve restore restrict restructure reuse revert rewrite rework sanitise sanitize \
    save secure separate set shorten shrink silence simplify solve sort speed split squash standardise \
    standardize store strip style support suppress swap switch tidy tighten trim truncate turn undo unify update \
    upgrade downgrade use validate vendor wire wrap behebe behebt ändere entferne lösche benenne verschiebe \
    aktualisiere korrigiere repariere refaktoriere ersetze verbessere beheben ändern entfernen löschen \
    umbenennen verschieben aktualisieren korrigieren reparieren ersetzen corrige corriger corrigez supprime \
    supprimer renomme renommer remplace modifie modifier répare déplace arregla arreglar corregir elimina \
    eliminar renombra renombrar actualiza cambia reemplaza mueve correggi rimuovi rinomina sostituisci aggiorna \
    corrija remova renomeie atualize";
/// Verbs that make something new.
pub const CREATE: &str = "\
    add author bootstrap build compose copy create craft define develop draft generate implement init initialise \
    initialize make prepare produce program scaffold setup write erstelle erstellt füge schreibe schreib \
    implementiere baue ergänze generiere erstellen hinzufügen schreiben implementieren bauen ergänzen crée créer \
    créez ajoute ajouter ajoutez écris écrire écrivez génère implémente crea crear añade añadir agrega agregar \
    escribe escribir genera implementa aggiungi scrivi crie adicione escreva";
/// Verbs of two words that make something new.
pub const SET_UP: &str = "set up|spin up|put together";
/// Labels of commit messages, alone before their colon.
pub const LABELS: &str = "feat fix refactor chore perf";
/// Verbs of looking: an answer, unless "and fix it" follows.
pub const LOOK: &str = "\
    review investigate analyse analyze check find look debug diagnose inspect identify read study examine audit \
    figure run search locate trace untersuche prüfe überprüfe analysiere";
/// Verbs of telling.
pub const TELL: &str = "\
    explain describe discuss compare contrast summarise summarize propose suggest recommend advise assess \
    evaluate estimate outline list show tell verify understand clarify elaborate enumerate count think consider \
    critique criticise criticize reason justify interpret teach walk brainstorm plan design research report \
    answer visualise visualize predict guess rate rank recap tldr learn know see argue confirm decide detail \
    illustrate erkläre erklär erklärt erklären beschreibe beschreiben vergleiche vergleichen fasse zeige zeig \
    nenne zusammenfassen liste schlage diskutiere bewerte explique expliquer expliquez décris comparer résume \
    montre explica explicar comparar resume muestra spiega descrivi confronta explicame";
/// Prose is told, not written into files, unless the task names one: "write a summary", "give me an overview".
pub const PROSE: &str = "\
    explanation explanations summary overview analysis review comparison description answer plan proposal \
    proposals outline assessment evaluation critique breakdown walkthrough recap essay haiku poem joke story \
    paragraph opinion advice recommendation recommendations suggestion suggestions idea ideas estimate rationale \
    diagnosis discussion introduction email letter difference differences pros tradeoffs trade-offs question \
    erklärung zusammenfassung übersicht vergleich explication résumé explicación resumen";
/// Verbs that, with a noun of [`PROSE`], ask for words.
pub const PROSE_WRITTEN_BY: &str = "\
    write create draft make generate produce prepare compose give provide do perform conduct author craft \
    schreibe schreib erstelle gib écris donne escribe crea dame need want like";
/// Ends a noun phrase.
pub const PHRASE_ENDS: &str = "\
    of about on for that which to in into with from explaining describing comparing covering why how what and or \
    so as by at when where using without over between von über zu für de du des sur";
/// Begins an object.
pub const ARTICLE: &str = "\
    a an the some any all this that these those it them its my our your their each every both whatever what \
    everything missing new another one";
/// A verb before one of these is a noun: "build fails", "support for X", "update is broken".
pub const NOUN_FOLLOWS: &str = "\
    of for is are was were isn't aren't fails failed failing failure failures fail breaks broke broken crashes \
    crashed error errors has had have does doesn't never always still log logs review reviews vs versus step \
    steps behaves hangs takes";
/// The same lists in Chinese, Japanese and Korean: looked for anywhere, since there are no spaces.
pub const CJK_CHANGE: &str = "\
    修复 修改 修正 更新 更改 删除 移除 重命名 重构 移动 替换 优化 改成 改为 调整 迁移 改进 補正 変更 \
    削除 移動 置き換え 直して リファクタリング リネーム 改善 수정 고쳐 삭제 변경 리팩터링 리팩토링 이동 \
    修復 刪除";
/// See [`CJK_CHANGE`].
pub const CJK_CREATE: &str = "\
    创建 新建 添加 增加 编写 写一 写个 生成 实现 构建 搭建 开发 加一个 加上 补充 作成 作って 追加 実装 \
    書いて 構築 만들 추가 생성 작성 구현 創建 新增 撰寫 實作";
/// See [`CJK_CHANGE`].
pub const CJK_ANSWER: &str = "\
    解释 说明 为什么 为何 怎么 怎样 如何 什么 哪 比较 对比 总结 概述 分析 讨论 评审 审查 检查 介绍 \
    描述 建议 告诉 調査 説明 なぜ どう 何 比較 要約 教えて レビュー まとめて 調べて 提案 설명 왜 어떻게 \
    비교 요약 검토 무엇 알려 解釋 說明 為什麼 怎麼 什麼 總結 檢查";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_stands_in_one_list() {
        let mut seen = std::collections::BTreeMap::new();
        for (name, list) in [("CHANGE", CHANGE), ("CREATE", CREATE), ("LOOK", LOOK), ("TELL", TELL)] {
            for word in list.split(' ') {
                assert_eq!(word, word.to_lowercase(), "{name}");
                assert!(!word.is_empty(), "{name} has two blanks in a row");
                assert_eq!(seen.insert(word, name), None, "`{word}` of {name} has a second place");
            }
        }
    }

    #[test]
    fn the_longest_phrase_leads() {
        assert_eq!(led_by("i want|i want to", &["i", "want", "to", "go"]), Some(&["go"][..]));
        assert_eq!(led_by("i want", &["i"]), None);
    }
}
