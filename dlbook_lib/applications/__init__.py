"""Applications: large networks, language, translation, recommendation and memory."""
