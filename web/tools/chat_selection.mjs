// The chat of the demo: conversations of Debian's `knghtbrd` fortunes (real IRC lines of the late 1990s) that can be shown to
// anybody. They were read one by one; left out is whatever has profanity, sex, drugs, violence, religion, politics or nations in
// it, mocks people, or names an address. When in doubt, the whole conversation went.

/** Positions in `parseConversations` of the file whose sha256 stands in make_data.mjs. */
const shown = [
  0, 2, 6, 7, 8, 9, 11, 13, 14, 16, 17, 18, 23, 24, 26, 27, 31, 32, 33, 35, 38, 41, 43, 44, 45, 48, 50, 53, 57, 58, 62, 64, 71,
  74, 75, 76, 77, 78, 79, 82, 86, 88, 89, 92, 94, 96, 98, 100, 101, 108, 109, 110, 114, 119, 120, 124, 125, 126, 128, 129, 131,
  133, 139, 140, 142, 144, 146, 148, 152, 153, 157, 158, 160, 163, 164, 165, 166, 167, 168, 171, 174, 176, 177, 178, 180, 184,
  185, 186, 188, 189, 191, 194, 195, 196, 200, 201, 203, 205, 206, 207, 208, 211, 213, 214, 217, 222, 226, 228, 229, 231, 236,
  238, 242, 246, 249, 250, 254, 255, 257, 258, 262, 263, 264, 265, 266, 267, 270, 271, 274, 275, 277, 278,
];

/** Conversations of the file: lists of {from, text}. Only those that consist of `<nick> text` lines alone. */
export function parseConversations(file) {
  const conversations = [];
  for (const fortune of file.split("\n%\n")) {
    const lines = [];
    let whole = true;
    for (const line of fortune.split("\n")) {
      const spoken = /^\s?<([^>\s]{1,20})>\s*(.*)$/.exec(line);
      if (spoken) lines.push({ from: spoken[1], text: spoken[2] });
      else if (lines.length > 0 && /^\s/.test(line)) lines.at(-1).text += ` ${line}`;
      else if (line.trim() !== "") whole = false;
    }
    if (whole && lines.length > 0)
      conversations.push(lines.map(({ from, text }) => ({ from, text: text.replace(/\s+/g, " ").trim() })));
  }
  return conversations;
}

const rooms = [
  ["quake", /quake|\bGL|opengl|texture|render|cvar|\bQW?\b|\bX\b|geforce|mesa|sdl|font|palette|engine|level|bots?\b/i],
  ["debian", /debian|dpkg|potato|package|red ?hat|\bRH\b|distribution|buildd|release|kernel|linux|bug/i],
  [
    "code",
    /perl|python|java|gcc|\bC\b|code|compil|libtool|cobol|fortran|#define|emacs|\bvi\b|program|patch|script|shell|fork\(/i,
  ],
];

/** The room in which a conversation could have taken place. */
function roomOf(conversation) {
  const text = conversation.map((line) => line.text).join(" ");
  return rooms.find(([, words]) => words.test(text))?.[0] ?? "lobby";
}

/** Lines {room, from, text} in the file's order; the lines of one conversation stay together. */
export function selectChat(file) {
  const conversations = parseConversations(file);
  return shown.flatMap((index) => {
    const room = roomOf(conversations[index]);
    return conversations[index].map(({ from, text }) => ({ room, from, text }));
  });
}
