"""`ml-assets new`: reads a source, drafts a product from it, tries the draft, and writes it with its history."""
