"""Recursive networks: logical terms (Goller & Küchler 1996), formulas by depth, and rated sentences (Tai, Socher & Manning 2015)."""
