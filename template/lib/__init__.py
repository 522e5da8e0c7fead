"""Project code that has outgrown its notebook; imported by notebooks and workers alike."""
