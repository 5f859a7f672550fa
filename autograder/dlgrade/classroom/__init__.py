"""Everything that needs nbgrader: its course folder, its preprocessors and its gradebook.

commands       `dlgrade course init`
course_folder  an nbgrader course whose assignments are this course's exercises
release        a source notebook through nbgrader's own generate_assignment
cutting        the preprocessor that cuts solutions down to stubs there
restore        a submitted notebook, rebuilt by the release's structure
preprocessors  what `nbgrader autograde` runs: restore, grade, save scores
scores         reports into nbgrader's database
"""
