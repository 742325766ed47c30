"""Render worker processes: started ahead, limited in memory and time, replaced when they die."""
